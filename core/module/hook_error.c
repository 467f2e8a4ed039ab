/* Where a hook's error points. See hook_error.h. */
#include "module/hook_error.h"

#include <string.h>

const struct conf_place *hook_error_place(const pillion_error_text *error,
                                          const struct conf_statement *block,
                                          const struct conf_place *otherwise)
{
    if (error->at[0] == '\0')
        return otherwise;
    for (const struct conf_statement *s = block; s != NULL; s = s->next) {
        if (strcmp(s->name.text, error->at) == 0)
            return s->word_count > 0 ? &s->words[0].place : &s->name.place;
    }
    return otherwise;
}
