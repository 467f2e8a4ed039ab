/* The setters that the core's table of directives names. Only settings_table.c and settings_read.c
 * use them.
 *
 * Each is a conf_setter whose apply->context is the struct settings being filled. */
#ifndef PILLION_CONF_SETTERS_H
#define PILLION_CONF_SETTERS_H

#include "conf/table.h"

struct settings;

/* In main; `target` is a struct settings. */
void settings_set_error_log(struct conf_apply *apply, const struct conf_directive *directive,
                            const struct conf_statement *statement, void *target);
void settings_set_control(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, void *target);
void settings_set_user(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target);
void settings_set_load_module(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target);
void settings_set_server(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target);

void settings_set_rlimit_core(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target);

void settings_set_pool(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target);

/* In main, its block included; then in server. */
void settings_set_resolver(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target);
void settings_set_registry(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target);
void settings_set_registry_user(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target);
void settings_set_register(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target);

void settings_set_proxy_all(struct conf_apply *apply, const struct conf_directive *directive,
                            const struct conf_statement *statement, void *target);

/* Checks what `proxy_all` needs, once all of the configuration is read. */
void settings_check_proxy_all(const struct settings *settings, struct conf_errors *errors);

/* Checks what `registry` and `register` need of each other, likewise. */
void settings_check_registry(const struct settings *settings, struct conf_errors *errors);

/* Finds the pools that modules and methods name, once all of the configuration is read. */
void settings_find_pools(struct settings *settings, struct conf_tree *tree,
                         struct conf_errors *errors);

/* Checks what the `ssl_…` directives of each server need of each other, likewise. */
void settings_check_ssl(const struct settings *settings, struct conf_errors *errors);

/* In server; `target` is a struct server_settings. */
void settings_set_listen(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target);
void settings_set_proxy_from(struct conf_apply *apply, const struct conf_directive *directive,
                             const struct conf_statement *statement, void *target);
void settings_set_access(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target);
void settings_set_limit_conn(struct conf_apply *apply, const struct conf_directive *directive,
                             const struct conf_statement *statement, void *target);
void settings_set_ssl_file(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target);
void settings_set_ssl_protocols(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target);
void settings_set_module_method(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target);
void settings_set_method(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target);

/* In server and in method; the list is in `target`, where the directive says. */
void settings_set_zone(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target);
void settings_set_filter(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target);

/* In method; `target` is a struct method_settings. */
void settings_set_handler(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, void *target);
void settings_set_declares(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target);
void settings_set_method_pool(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target);

#endif
