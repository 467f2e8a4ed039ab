/* See fingerprint.h. */
#include "master/fingerprint.h"

#include <sys/stat.h>

void fingerprint_file(struct text *text, const char *path)
{
    struct stat file = {0};

    if (path == NULL)
        return;
    int result = stat(path, &file);
    text_printf(text, " %s %d %llu %llu %lld %lld.%09ld", path, result,
                (unsigned long long)file.st_dev, (unsigned long long)file.st_ino,
                (long long)file.st_size, (long long)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
}
