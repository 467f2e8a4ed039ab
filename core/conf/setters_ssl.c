/* The setters of TLS: `ssl_certificate` and the like. See setters.h. Nothing is opened here: the
 * gate finds out whether the files can be used. */
#include <string.h>

#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

/* A list of files, each statement adding one. */
void settings_set_ssl_file(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target)
{
    struct conf_list *list = (struct conf_list *)(void *)((char *)target + directive->offset);

    if (!conf_check_words(apply, directive, statement, 1, 1))
        return;
    const char **items =
        pool_must_zalloc(&apply->tree->pool, (list->count + 1) * sizeof(*list->items));
    if (list->count > 0)
        memcpy(items, list->items, list->count * sizeof(*items));
    items[list->count++] = conf_tree_path(apply->tree, statement->words[0].text);
    list->items = items;
}

/* ssl_protocols TLSv1.2 TLSv1.3 */
void settings_set_ssl_protocols(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target)
{
    static const char *const names[] = {"TLSv1.2", "TLSv1.3", NULL};
    struct server_settings *server = target;

    if (!conf_check_words(apply, directive, statement, 1, 2))
        return;
    server->ssl.protocols = 0;
    for (size_t i = 0; i < statement->word_count; i++) {
        int index = conf_read_enum(apply, "ssl_protocols", &statement->words[i], names);
        if (index < 0)
            return;
        server->ssl.protocols |= 1u << index;
    }
}

/* The first address of the server that has `ssl`, or NULL. */
static const struct listen_settings *first_ssl(const struct server_settings *server)
{
    const struct listen_settings *listen = server->listens;

    while (listen != NULL && !listen->ssl)
        listen = listen->next;
    return listen;
}

static void check(const struct server_settings *server, struct conf_errors *errors)
{
    const struct ssl_settings *ssl = &server->ssl;
    const struct listen_settings *listen = first_ssl(server);

    if (listen != NULL && ssl->certificates.count == 0)
        conf_error(errors, &listen->place,
                   "\"listen %s ssl\" needs \"ssl_certificate\" and \"ssl_certificate_key\" in its "
                   "server block",
                   listen->address);
    if (ssl->certificates.count != ssl->keys.count)
        conf_error(errors, &server->place,
                   "this server has %zu \"ssl_certificate\" and %zu \"ssl_certificate_key\": each "
                   "certificate needs its key, in the same order",
                   ssl->certificates.count, ssl->keys.count);
    if (ssl->certificates.count > SSL_CERTIFICATES_MAX)
        conf_error(errors, &server->place,
                   "this server has %zu \"ssl_certificate\": there may be %u",
                   ssl->certificates.count, SSL_CERTIFICATES_MAX);
    if (ssl->verify_client != SSL_VERIFY_OFF && ssl->client_certificates == NULL)
        conf_error(errors, &server->place,
                   "\"ssl_verify_client\" needs \"ssl_client_certificate\": the certificates of "
                   "the authorities that have signed the clients'");
}

void settings_check_ssl(const struct settings *settings, struct conf_errors *errors)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next)
        check(s, errors);
}
