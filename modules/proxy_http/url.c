/* See url.h. */
#include "url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define PARTS_MAX 256u

/* Takes the URL apart, as curl itself will. NULL when it is none that can be asked. */
static CURLU *url_read(const char *text)
{
    CURLU *url = curl_url();

    if (url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        return url;
    curl_url_cleanup(url);
    return NULL;
}

static bool has(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return there;
}

/* Copies a part of the URL. False when it does not fit, or memory ran out. */
static bool copy(CURLU *url, CURLUPart part, unsigned flags, char *to, size_t size)
{
    char *text = NULL;
    bool fits = curl_url_get(url, part, &text, flags) == CURLUE_OK &&
                (size_t)snprintf(to, size, "%s", text) < size;

    curl_free(text);
    return fits;
}

static bool is_http(CURLU *url)
{
    char scheme[8];

    return copy(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) &&
           (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
}

/* curl looks names up in a thread of its own, as a rule; where it would block the worker, they are
 * refused. */
static bool looks_up_beside(void)
{
    return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) != 0;
}

static bool is_literal(const char *host)
{
    return host[0] == '[' || host[strspn(host, "0123456789.")] == '\0';
}

static int url_check(const char *text, pillion_error_text *error)
{
    char host[PARTS_MAX];
    CURLU *url = url_read(text);

    if (url == NULL || !is_http(url)) {
        curl_url_cleanup(url);
        return pillion_error(error,
                             "\"%s\" is no URL of a server: write http://HOST:PORT/PATH or "
                             "https://HOST/PATH",
                             text);
    }
    bool secret = has(url, CURLUPART_USER) || has(url, CURLUPART_PASSWORD);
    bool fragment = has(url, CURLUPART_FRAGMENT);
    bool fits = copy(url, CURLUPART_HOST, 0, host, sizeof(host));
    curl_url_cleanup(url);
    if (secret)
        return pillion_error(error, "an upstream's URL has a user or a password: use `header "
                                    "\"Authorization: …\"`");
    if (fragment)
        return pillion_error(error, "\"%s\" has a fragment (#…), which is never sent", text);
    if (!fits)
        return pillion_error(error, "the host's name in \"%s\" is too long", text);
    if (!looks_up_beside() && !is_literal(host))
        return pillion_error(error,
                             "the host of \"%s\" must be an address: this libcurl would block the "
                             "worker while it looks a name up",
                             text);
    return 0;
}

int urls_check(const pillion_list *urls, pillion_error_text *error)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (url_check(urls->items[i], error) != 0)
            return -1;
        for (size_t before = 0; before < i; before++) {
            if (strcmp(urls->items[before], urls->items[i]) == 0)
                return pillion_error(error, "the upstream \"%s\" appears twice", urls->items[i]);
        }
    }
    return 0;
}

bool url_name(const char *text, char *name, size_t size)
{
    char scheme[8], host[PARTS_MAX], port[8];
    CURLU *url = url_read(text);
    bool good = url != NULL && copy(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) &&
                copy(url, CURLUPART_HOST, 0, host, sizeof(host)) &&
                copy(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port));

    curl_url_cleanup(url);
    return good && (size_t)snprintf(name, size, "%s://%s:%s", scheme, host, port) < size;
}

bool url_is_named(const char *text)
{
    char host[PARTS_MAX];
    CURLU *url = url_read(text);
    bool literal =
        url != NULL && copy(url, CURLUPART_HOST, 0, host, sizeof(host)) && is_literal(host);

    curl_url_cleanup(url);
    return !literal;
}
