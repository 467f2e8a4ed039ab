/* Names of methods. See method_name.h. */
#include "conf/method_name.h"

#include <string.h>

#include "base/bytes.h"

#define METHOD_NAME_MAX 255u /* bytes */

const char *method_name_fault(const char *name)
{
    size_t size = strlen(name);

    if (size == 0)
        return "is empty";
    if (size > METHOD_NAME_MAX)
        return "is longer than 255 bytes";
    for (size_t i = 0; i < size;) {
        size_t length = utf8_sequence(name + i, size - i);
        unsigned char c = (unsigned char)name[i];
        if (length == 0)
            return "is not valid UTF-8";
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)name[i + 1] < 0xa0))
            return "holds a control character";
        i += length;
    }
    return NULL;
}
