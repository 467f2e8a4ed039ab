/* Reading the password. See login.h. */
#include "registry/login.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* The password is the file's first line. */
static bool take_line(const char *path, char *password, size_t size, struct error *error)
{
    char *end = memchr(password, '\n', size);

    if (end == NULL && size > LOGIN_PASSWORD_MAX)
        return error_set(error, "the password file %s has a line of more than %u bytes", path,
                         LOGIN_PASSWORD_MAX);
    password[end == NULL ? size : (size_t)(end - password)] = '\0';
    size = strlen(password);
    if (size > 0 && password[size - 1] == '\r')
        password[--size] = '\0';
    return size > 0 || error_set(error, "the password file %s begins with no password", path);
}

static bool read_password(const char *path, char *password, struct error *error)
{
    char buffer[LOGIN_PASSWORD_MAX + 1];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return error_errno(error, "cannot read the password file %s", path);
    if (fstat(fd, &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
        log_warn("the password file %s can be read by others: `chmod 600` it", path);
    ssize_t size = read(fd, buffer, sizeof(buffer));
    bool good = size >= 0 || error_errno(error, "cannot read the password file %s", path);
    close(fd);
    good = good && take_line(path, buffer, (size_t)size, error);
    if (good)
        strcpy(password, buffer);
    explicit_bzero(buffer, sizeof(buffer));
    return good;
}

bool login_read(const struct registry_settings *settings, struct login *login, struct error *error)
{
    *login = (struct login){
        .etcd = {.urls = settings->urls.items,
                 .url_count = settings->urls.count,
                 .user = settings->user,
                 .ca = settings->ca,
                 .cert = settings->cert,
                 .key = settings->key,
                 .ttl_s = (uint32_t)((settings->ttl_ms + 999) / 1000),
                 .timeout_ms = (uint32_t)settings->timeout_ms},
    };
    if (settings->user == NULL)
        return true;
    login->etcd.password = login->password;
    return read_password(settings->password_file, login->password, error);
}

void login_forget(struct login *login)
{
    explicit_bzero(login->password, sizeof(login->password));
}

size_t login_ports(const struct registry_settings *settings, uint16_t *ports, size_t most)
{
    size_t count = 0;

    for (size_t i = 0; settings != NULL && i < settings->urls.count && count < most; i++) {
        const char *colon = strrchr(settings->urls.items[i], ':');
        ports[count++] = (uint16_t)strtoul(colon + 1, NULL, 10);
    }
    return count;
}
