/* What the registry process needs to know of its registry, read from the configuration and its
 * files. As root still, and in no other process: a password is among it. */
#ifndef PILLION_REGISTRY_LOGIN_H
#define PILLION_REGISTRY_LOGIN_H

#include "conf/settings.h"
#include "registry/etcd.h"

#define LOGIN_PASSWORD_MAX 1024u /* bytes */

struct login {
    struct etcd_settings etcd;
    char password[LOGIN_PASSWORD_MAX + 1];
};

/* False with the reason, which names the file. Strings are those of the settings, and the
 * password, which is in `login`. */
bool login_read(const struct registry_settings *settings, struct login *login, struct error *error);

/* Overwrites the password. */
void login_forget(struct login *login);

/* The ports of the members, as many as fit into `ports`. */
size_t login_ports(const struct registry_settings *settings, uint16_t *ports, size_t most);

#endif
