/* Members of the state. See state.h. */
#include "master/state.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

double state_number(const cJSON *object, const char *name, double missing)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : missing;
}

const char *state_words(const cJSON *object, const char *name, const char *missing)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? missing : text;
}

bool state_truth(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

void state_add_file(cJSON *object, const char *name, struct place_id file)
{
    char text[64];

    snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)file.device, (uintmax_t)file.inode);
    cJSON_AddStringToObject(object, name, text);
}

struct place_id state_file(const cJSON *object, const char *name, const char *path)
{
    uintmax_t device, inode;

    if (sscanf(state_words(object, name, ""), "%ju:%ju", &device, &inode) != 2)
        return place_id(path);
    return (struct place_id){.device = (dev_t)device, .inode = (ino_t)inode};
}

void state_keep_open(int fd, bool keep)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}
