/* A filter that lets a request pass when it carries a token or a signature.
 *
 *     server {
 *         filter auth { token_file conf/tokens; }
 *         …
 *     }
 *
 * A token is compared with all accepted ones by their SHA-256 digests, in constant time, so that
 * the time tells nothing about the right token. No token and no key is ever written to the log. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "../errno_text.h"

#define DIGEST     32u
#define SECRET_MAX 4096u /* bytes of a token or a key */
#define TOKENS_MAX 100000u
#define DENIED     "unauthorized"
#define USER       "auth.user" /* the request's value: a const char *, the user's name */

/* A `filter auth { … }` statement. */
struct auth {
    pillion_list tokens;
    const char *token_file, *user_file, *hmac_key, *hmac_key_file;
    const char *member, *hmac_member, *time_member;
    uint64_t max_age_ms;

    unsigned char (*digests)[DIGEST]; /* of the tokens */
    char **users;                     /* whose they are; NULL: of no user */
    size_t digest_count;
    char *key; /* NULL: requests cannot be signed */
    size_t key_size;
};

static const pillion_directive directives[] = {
    {.name = "token",
     .type = PILLION_LIST,
     .offset = offsetof(struct auth, tokens),
     .summary = "Tokens that are accepted."},
    {.name = "token_file",
     .type = PILLION_PATH,
     .offset = offsetof(struct auth, token_file),
     .summary = "A file of tokens, one on each line; empty lines and lines that begin with # are "
                "ignored."},
    {.name = "user_file",
     .type = PILLION_PATH,
     .offset = offsetof(struct auth, user_file),
     .summary =
         "A file of users and their tokens, one of each on each line: a name, white space, a "
         "token. A user may have several lines."},
    {.name = "hmac_key",
     .type = PILLION_STRING,
     .offset = offsetof(struct auth, hmac_key),
     .summary = "The key with which requests are signed (HMAC-SHA256)."},
    {.name = "hmac_key_file",
     .type = PILLION_PATH,
     .offset = offsetof(struct auth, hmac_key_file),
     .summary = "A file whose first line is the key."},
    {.name = "member",
     .type = PILLION_STRING,
     .offset = offsetof(struct auth, member),
     .fallback = "token",
     .summary = "The member of the request that holds the token. Over HTTP, `Authorization: Bearer "
                "TOKEN` will do instead."},
    {.name = "hmac_member",
     .type = PILLION_STRING,
     .offset = offsetof(struct auth, hmac_member),
     .fallback = "hmac",
     .summary = "The member that holds the signature, 64 hexadecimal digits."},
    {.name = "time_member",
     .type = PILLION_STRING,
     .offset = offsetof(struct auth, time_member),
     .fallback = "time",
     .summary = "The member that holds when the request was signed, in milliseconds since 1970."},
    {.name = "max_age",
     .type = PILLION_TIME,
     .offset = offsetof(struct auth, max_age_ms),
     .fallback = "5m",
     .min = 0,
     .max = 31536000000,
     .summary = "How far the time of signing may be from now; 0: any time."},
    {0},
};

/* ---- Reading secrets ---- */

/* `user`: whose token it is, or NULL. */
static int add_token(struct auth *auth, const char *token, size_t size, const char *user)
{
    size_t count = auth->digest_count;
    unsigned char(*digests)[DIGEST] = realloc(auth->digests, (count + 1) * sizeof(*digests));

    if (digests == NULL)
        return -1;
    auth->digests = digests;
    char **users = realloc(auth->users, (count + 1) * sizeof(*users));
    if (users == NULL)
        return -1;
    auth->users = users;
    users[count] = user == NULL ? NULL : strdup(user);
    if (user != NULL && users[count] == NULL)
        return -1;
    EVP_Digest(token, size, digests[count], NULL, EVP_sha256(), NULL);
    auth->digest_count++;
    return 0;
}

/* Opens a file of secrets, and warns when other users may read it. A worker that replaces a crashed
 * one reads the file again, and it may be gone by then: the error says that it has to stay. */
static FILE *open_secret(pillion_instance *self, const char *path, pillion_error_text *error)
{
    struct stat status;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        pillion_error(error,
                      "cannot open %s: %s; each worker reads it when it starts, even a worker "
                      "that replaces a crashed one, so it has to stay there while the server "
                      "runs",
                      path, errno_text(errno).text);
    if (file == NULL || fstat(fileno(file), &status) != 0)
        return file;
    if (S_ISDIR(status.st_mode)) {
        pillion_error(error, "%s is a directory; give a file in it", path);
        fclose(file);
        return NULL;
    }
    if ((status.st_mode & S_IROTH) != 0)
        pillion_log(self, PILLION_LOG_WARN, "%s holds secrets, and everybody can read it", path);
    return file;
}

/* Reads the next line, without its end and the white space around it. Its length, or -1 at the
 * end. */
static ssize_t next_line(FILE *file, char **line, size_t *capacity, char **text)
{
    ssize_t size = getline(line, capacity, file);

    if (size < 0)
        return -1;
    *text = *line;
    while (size > 0 && isspace((unsigned char)(*text)[size - 1]))
        size--;
    while (size > 0 && isspace((unsigned char)**text)) {
        ++*text;
        size--;
    }
    return size;
}

#define TOO_LONG "a token has at most 4096 bytes, and no NUL"
static_assert(SECRET_MAX == 4096, "as TOO_LONG says");

/* One line of a file of tokens, or of users and their tokens. Returns what is wrong, or NULL. */
static const char *read_token(struct auth *auth, char *text, size_t size, bool of_users)
{
    const char *user = NULL;

    if (memchr(text, '\0', size) != NULL)
        return TOO_LONG;
    if (of_users) {
        size_t name = strcspn(text, " \t");
        user = text;
        text += name;
        if (*text == '\0')
            return "a line is a user's name, white space and a token";
        *text++ = '\0';
        text += strspn(text, " \t");
        size -= (size_t)(text - user);
    }
    if (size > SECRET_MAX)
        return TOO_LONG;
    if (auth->digest_count >= TOKENS_MAX || add_token(auth, text, size, user) != 0)
        return "there are too many tokens";
    return NULL;
}

static int read_tokens(pillion_instance *self, struct auth *auth, const char *path,
                       pillion_error_text *error)
{
    FILE *file = open_secret(self, path, error);
    char *line = NULL, *text;
    size_t capacity = 0, number = 0;
    ssize_t size;
    int status = 0;

    if (file == NULL)
        return -1;
    while (status == 0 && (size = next_line(file, &line, &capacity, &text)) >= 0) {
        number++;
        if (size == 0 || text[0] == '#')
            continue;
        text[size] = '\0';
        const char *wrong = read_token(auth, text, (size_t)size, path == auth->user_file);
        if (wrong != NULL)
            status = pillion_error(error, "%s:%zu: %s", path, number, wrong);
    }
    free(line);
    fclose(file);
    return status;
}

static int read_key(pillion_instance *self, struct auth *auth, pillion_error_text *error)
{
    FILE *file = open_secret(self, auth->hmac_key_file, error);
    char *line = NULL, *text;
    size_t capacity = 0;

    if (file == NULL)
        return -1;
    ssize_t size = next_line(file, &line, &capacity, &text);
    fclose(file);
    if (size > 0 && size <= (ssize_t)SECRET_MAX) {
        auth->key = strndup(text, (size_t)size);
        auth->key_size = (size_t)size;
    }
    free(line);
    return auth->key != NULL
               ? 0
               : pillion_error(error, "%s: its first line is to be a key of 1 to %u bytes",
                               auth->hmac_key_file, SECRET_MAX);
}

/* A member that the protocol defines cannot carry a token or a signature. */
static int check_members(const struct auth *auth, pillion_error_text *error)
{
    static const char *const taken[] = {"in", "params", "id"};
    const struct {
        const char *directive, *name, *usual;
    } given[] = {{"member", auth->member, "token"},
                 {"hmac_member", auth->hmac_member, "hmac"},
                 {"time_member", auth->time_member, "time"}};

    for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
        for (size_t j = 0; j < sizeof(taken) / sizeof(*taken); j++) {
            if (strcmp(given[i].name, taken[j]) == 0)
                return pillion_error(error,
                                     "%s cannot be \"%s\", which every request has for something "
                                     "else; give it a name of its own, such as \"%s\"",
                                     given[i].directive, taken[j], given[i].usual);
        }
    }
    if (strcmp(auth->hmac_member, auth->time_member) == 0)
        return pillion_error(error,
                             "hmac_member and time_member are both \"%s\": no request could have "
                             "a signature and its time; give them two names",
                             auth->hmac_member);
    return 0;
}

static int start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct auth *auth = config;

    if (check_members(auth, error) != 0)
        return -1;
    for (size_t i = 0; i < auth->tokens.count; i++) {
        if (auth->tokens.items[i][0] == '\0')
            return pillion_error(error, "a token is empty");
        if (add_token(auth, auth->tokens.items[i], strlen(auth->tokens.items[i]), NULL) != 0)
            return pillion_error(error, "out of memory");
    }
    if (auth->token_file != NULL && read_tokens(self, auth, auth->token_file, error) != 0)
        return -1;
    if (auth->user_file != NULL && read_tokens(self, auth, auth->user_file, error) != 0)
        return -1;
    if (auth->hmac_key != NULL && auth->hmac_key_file != NULL)
        return pillion_error(error, "give hmac_key or hmac_key_file, not both");
    if (auth->hmac_key_file != NULL && read_key(self, auth, error) != 0)
        return -1;
    if (auth->hmac_key != NULL) {
        auth->key = strdup(auth->hmac_key);
        auth->key_size = strlen(auth->hmac_key);
    }
    if (auth->key != NULL && auth->key_size == 0)
        return pillion_error(error, "hmac_key is empty");
    if (auth->digest_count == 0 && auth->key == NULL)
        return pillion_error(error, "no request could pass: give token, token_file, user_file, "
                                    "hmac_key or hmac_key_file, with at least one token or a key "
                                    "in it");
    return 0;
}

static void stop(pillion_instance *self, void *config)
{
    struct auth *auth = config;

    (void)self;
    for (size_t i = 0; i < auth->digest_count; i++)
        free(auth->users[i]);
    free(auth->users);
    free(auth->digests);
    if (auth->key != NULL)
        OPENSSL_cleanse(auth->key, auth->key_size);
    free(auth->key);
}

/* ---- Judging requests ---- */

/* The decoded text of a string member, which may have any bytes; data is NULL when it is no
 * string. */
static pillion_bytes string_member(pillion_request *req, const char *name)
{
    pillion_bytes value = pillion_member(req, name);
    char *text = value.data == NULL ? NULL : pillion_alloc(req, value.size);
    long size = text == NULL ? -1 : pillion_json_string(value, text, value.size);

    return size < 0 ? (pillion_bytes){NULL, 0} : (pillion_bytes){text, (size_t)size};
}

/* Takes the same time whichever token it is. `user` becomes its user's name, or NULL. */
static bool token_passes(const struct auth *auth, pillion_bytes token, char **user)
{
    unsigned char digest[DIGEST];
    size_t found = auth->digest_count;

    EVP_Digest(token.data, token.size, digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < auth->digest_count; i++) {
        if (CRYPTO_memcmp(digest, auth->digests[i], DIGEST) == 0)
            found = i;
    }
    *user = found < auth->digest_count ? auth->users[found] : NULL;
    return found < auth->digest_count;
}

/* Signs the method's name, the time and the params as the client sends them, on three lines. */
static void sign(const struct auth *auth, const pillion_request *req, pillion_bytes when,
                 char hex[2 * DIGEST + 1])
{
    const char *method = pillion_method_name(req);
    pillion_bytes params = pillion_params_raw(req);
    unsigned char digest[DIGEST];
    size_t size = sizeof(digest);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    OSSL_PARAM settings[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0),
                             OSSL_PARAM_construct_end()};

    memset(digest, 0, sizeof(digest));
    bool good = context != NULL &&
                EVP_MAC_init(context, (unsigned char *)auth->key, auth->key_size, settings) &&
                EVP_MAC_update(context, (const unsigned char *)method, strlen(method)) &&
                EVP_MAC_update(context, (const unsigned char *)"\n", 1) &&
                EVP_MAC_update(context, (const unsigned char *)when.data, when.size) &&
                EVP_MAC_update(context, (const unsigned char *)"\n", 1) &&
                EVP_MAC_update(context, (const unsigned char *)params.data, params.size) &&
                EVP_MAC_final(context, digest, &size, sizeof(digest));
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    hex[0] = '\0'; /* matches nothing */
    for (size_t i = 0; good && i < DIGEST; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Returns NULL when the signature is right, otherwise the error message. */
static const char *judge_signature(const struct auth *auth, const pillion_request *req,
                                   pillion_bytes signature)
{
    pillion_bytes when = pillion_member(req, auth->time_member);
    char expected[2 * DIGEST + 1], number[24], *end;
    struct timespec now;

    if (when.data == NULL)
        return "the time of the signature is missing";
    if (when.size >= sizeof(number))
        return "the time of the signature is no whole number of milliseconds";
    memcpy(number, when.data, when.size);
    number[when.size] = '\0';
    long long signed_at = strtoll(number, &end, 10);
    if (*end != '\0' || end == number)
        return "the time of the signature is no whole number of milliseconds";
    sign(auth, req, when, expected);
    if (signature.size != 2 * DIGEST || CRYPTO_memcmp(signature.data, expected, 2 * DIGEST) != 0)
        return "the signature does not match";
    clock_gettime(CLOCK_REALTIME, &now);
    long long now_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    unsigned long long apart = signed_at > now_ms
                                   ? (unsigned long long)signed_at - (unsigned long long)now_ms
                                   : (unsigned long long)now_ms - (unsigned long long)signed_at;
    if (auth->max_age_ms != 0 && apart > auth->max_age_ms)
        return "the signature is too old, or from the future: are the clocks right?";
    return NULL;
}

/* The name of a token's or signature's member whose value is no string; NULL when there is none. */
static const char *not_a_string(const struct auth *auth, const pillion_request *req)
{
    const char *const names[] = {auth->digest_count > 0 ? auth->member : NULL,
                                 auth->key != NULL ? auth->hmac_member : NULL};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        pillion_bytes value =
            names[i] == NULL ? (pillion_bytes){NULL, 0} : pillion_member(req, names[i]);
        if (value.data != NULL && value.data[0] != '"')
            return names[i];
    }
    return NULL;
}

/* The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1), with which clients of HTTP
 * come; data is NULL when there is none. */
static pillion_bytes bearer(const pillion_request *req)
{
    static const char scheme[] = "bearer ";
    const size_t size = sizeof(scheme) - 1;
    pillion_bytes value = pillion_header(req, "authorization");

    if (value.data == NULL || value.size <= size || strncasecmp(value.data, scheme, size) != 0)
        return (pillion_bytes){NULL, 0};
    return (pillion_bytes){value.data + size, value.size - size};
}

/* Returns NULL when the request may pass, otherwise the error message. */
static const char *judge(const struct auth *auth, pillion_request *req)
{
    static const pillion_bytes none = {NULL, 0};
    pillion_bytes token = auth->digest_count > 0 ? string_member(req, auth->member) : none;
    pillion_bytes signature = auth->key != NULL ? string_member(req, auth->hmac_member) : none;

    if (token.data == NULL && auth->digest_count > 0)
        token = bearer(req);
    char *user;
    if (token.data != NULL && token_passes(auth, token, &user))
        return user == NULL || pillion_set_value(req, USER, user) ? NULL : "there is no memory";
    if (signature.data != NULL)
        return judge_signature(auth, req, signature);
    if (token.data != NULL)
        return "the token is not accepted";
    return auth->key != NULL && auth->digest_count > 0 ? "a token or a signature is missing"
           : auth->key != NULL                         ? "the signature is missing"
                                                       : "the token is missing";
}

static pillion_verdict before(pillion_request *req)
{
    const struct auth *auth = pillion_filter_config(req);
    const char *wrong = judge(auth, req);

    if (wrong == NULL)
        return PILLION_NEXT;
    const char *odd = not_a_string(auth, req);
    if (odd != NULL)
        pillion_fail(req, DENIED, "\"%s\" must be a string", odd);
    else
        pillion_fail(req, DENIED, "%s", wrong);
    return PILLION_STOP;
}

static const pillion_filter filters[] = {
    {.name = "auth",
     .before = before,
     .start = start,
     .stop = stop,
     .summary = "Lets a request pass that has a token or a signature.",
     .directives = directives,
     .config_size = sizeof(struct auth)},
    {0},
};

PILLION_MODULE(.name = "auth", .version = "1.0.0",
               .summary = "A filter that lets requests pass that have a token or a signature.",
               .filters = filters, .needs = PILLION_NEEDS_FILES);
