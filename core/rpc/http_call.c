/* From HTTP to calls. See http_call.h. */
#include "rpc/http_call.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rpc/mcp.h"
#include "rpc/param_row.h"
#include "rpc/schema_check.h"
#include "rpc/status.h"
#include "wire/http_reply.h"

const char *http_call_date(void)
{
    static char date[HTTP_DATE_SIZE + 1];
    static time_t at = -1;
    time_t now = time(NULL);

    if (now != at)
        http_date(at = now, date);
    return date;
}

/* ---- Answers that no method gives ---- */

void http_call_last(struct call *call)
{
    call->req.format = ENVELOPE_BARE;
    call->req.head = (struct bytes){NULL, 0};
    call->req.http = (struct reply_http){.style = HTTP_STYLE_CLOSE, .date = http_call_date()};
}

static enum envelope_status answer(struct call *call, unsigned status, struct bytes body)
{
    call->req.http.style |= status << HTTP_STYLE_STATUS_SHIFT;
    request_reply(&call->req, "", body);
    return ENVELOPE_INVALID;
}

static bool is_mcp(struct bytes path)
{
    return bytes_equal(path, BYTES(MCP_PATH));
}

/* ---- Pages of other people ---- */

static bool is_listed(const struct conf_list *list, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "*") == 0 || http_is(name, list->items[i]))
            return true;
    }
    return false;
}

/* The host without its port. A request of HTTP/1.0 may have none. */
static struct bytes host_name(struct bytes host)
{
    if (host.size == 0)
        return host;
    const char *end =
        host.data[0] == '[' ? memchr(host.data, ']', host.size) : memchr(host.data, ':', host.size);

    if (end != NULL)
        host.size = (size_t)(end - host.data) + (*end == ']');
    return host;
}

/* True for names of this machine that no page's author can give another address. */
static bool is_local(struct bytes name)
{
    static const char localhost[] = ".localhost";
    const size_t size = sizeof(localhost) - 1;

    if (http_is(name, "localhost") || http_is(name, "[::1]"))
        return true;
    if (name.size > size && http_is((struct bytes){name.data + name.size - size, size}, localhost))
        return true;
    for (size_t i = 0; i < name.size; i++) {
        if ((name.data[i] < '0' || name.data[i] > '9') && name.data[i] != '.')
            return false;
    }
    return name.size > 4 && memcmp(name.data, "127.", 4) == 0;
}

/* True when the client has connected to an address that only this machine has. Of a client that
 * speaks TLS, the certificate has said whose name it called. */
static bool find_loopback(const struct call *call)
{
    struct sockaddr_storage here;
    socklen_t size = sizeof(here);

    if (conn_told(call->conn, "tls") != NULL ||
        getsockname(call->conn->watch.fd, (struct sockaddr *)&here, &size) < 0)
        return false;
    if (here.ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)&here)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return here.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&here)->sin6_addr);
}

/* The same; the kernel is asked once for all requests of a turn. */
static bool is_on_loopback(struct call *call)
{
    if (!call->knows_loopback)
        call->on_loopback = find_loopback(call);
    call->knows_loopback = true;
    return call->on_loopback;
}

/* True when the page that sent the request came from this very server. */
static bool is_own_page(struct bytes origin, struct bytes host)
{
    static const char scheme[] = "http://", safe[] = "https://";

    for (unsigned i = 0; i < 2 && host.size > 0; i++) {
        const char *start = i == 0 ? scheme : safe;
        size_t size = strlen(start);
        if (origin.size == size + host.size && memcmp(origin.data, start, size) == 0 &&
            strncasecmp(origin.data + size, host.data, host.size) == 0)
            return true;
    }
    return false;
}

/* The types that a page cannot send without asking first (the fetch standard's "CORS-safelisted
 * request-header"). */
static bool is_json_type(struct bytes type)
{
    const char *end = type.data == NULL ? NULL : memchr(type.data, ';', type.size);
    static const char suffix[] = "+json";

    if (end != NULL)
        type.size = (size_t)(end - type.data);
    while (type.size > 0 && (type.data[type.size - 1] == ' ' || type.data[type.size - 1] == '\t'))
        type.size--;
    if (http_is(type, "application/json") || http_is(type, "application/json-rpc") ||
        http_is(type, "application/jsonrequest"))
        return true;
    return type.size > sizeof(suffix) - 1 &&
           http_is((struct bytes){type.data + type.size - (sizeof(suffix) - 1), sizeof(suffix) - 1},
                   suffix);
}

/* True for a picture, a script or the like that a page of another site shows: browsers send no
 * Origin for those, but say so (https://www.w3.org/TR/fetch-metadata/). Links that a person follows
 * are none. */
static bool is_embedded(const struct http_request *http)
{
    struct bytes site = http_find(http->fields, "sec-fetch-site");

    return (bytes_equal(site, BYTES("cross-site")) || bytes_equal(site, BYTES("same-site"))) &&
           !bytes_equal(http_find(http->fields, "sec-fetch-dest"), BYTES("document")) &&
           http->origin.data == NULL;
}

/* ENVELOPE_OK when the request may be looked at. */
static enum envelope_status check_page(struct call *call, const struct http_request *http)
{
    const struct server_settings *settings = call->server->settings;
    struct bytes name = host_name(http->host), origin = http->origin;

    if (http->host.size > 0 && !is_local(name) && !is_listed(&settings->allow_host, name) &&
        is_on_loopback(call))
        return request_refuse_http(
            &call->req, is_mcp(http->path) ? 403 : 421, "forbidden",
            "this address is of this machine alone, and \"%.*s\" is not a name of it; "
            "allow_host can add one",
            (int)name.size, name.data);
    if (origin.data == NULL)
        return ENVELOPE_OK;
    bool listed = is_listed(&settings->allow_origin, origin);
    if (!listed && !is_own_page(origin, http->host))
        return request_refuse_http(
            &call->req, 403, "forbidden",
            "pages of \"%.*s\" may not call this server; allow_origin can allow it",
            (int)origin.size, origin.data);
    if (listed)
        call->req.http.origin = origin;
    if (bytes_equal(http->method, BYTES("POST")) && !is_json_type(http->type))
        return request_refuse_http(&call->req, 415, ERROR_INVALID_REQUEST,
                                   "a page has to send Content-Type: application/json");
    return ENVELOPE_OK;
}

/* ---- Paths and queries ---- */

/* Undoes percent-encoding (RFC 3986 section 2.1), and in a query "+" for a space. Returns the size;
 * -1 when it does not fit `capacity`, or is not encoded so. No text of ours has a NUL. */
static long decode(struct bytes text, bool query, char *to, size_t capacity)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (text.size - i < 3)
                return -1;
            int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (query && c == '+') {
            c = ' ';
        }
        if (size == capacity)
            return -1;
        to[size++] = c;
    }
    return (long)size;
}

/* Takes the text up to `end` from the start of `text`. */
static struct bytes take(struct bytes *text, char end)
{
    const char *found = memchr(text->data, end, text->size);
    struct bytes taken = {text->data, found == NULL ? text->size : (size_t)(found - text->data)};
    size_t skip = found == NULL ? taken.size : taken.size + 1;

    text->data += skip;
    text->size -= skip;
    return taken;
}

/* A value that is a number, true, false or null is that; every other is a string. */
static bool is_scalar(const char *value)
{
    const struct json_limits limits = {.depth = 1, .values = 1};
    struct json_error error;

    return value[0] != '"' && value[0] != '\0' && strchr(" \t\r\n[{", value[0]) == NULL &&
           json_check(bytes_of(value), &limits, &error);
}

/* True when the method declares that the param of this name is a text. */
static bool takes_text(const struct method *method, struct bytes name)
{
    return method->args != NULL
               ? param_is_text(method->args, name)
               : method->params_rule != NULL && schema_wants_text(method->params_rule, name);
}

/* Adds `name=value` to the object. The method, if there is one, tells which values are texts. */
static bool add_pair(cJSON *object, const struct method *method, struct bytes pair, char *room)
{
    struct bytes name = take(&pair, '=');
    long name_size = decode(name, true, room, name.size);
    char *value = room + name.size + 1;
    long value_size = decode(pair, true, value, pair.size);

    if (name_size <= 0 || value_size < 0)
        return false;
    room[name_size] = value[value_size] = '\0';
    if (cJSON_GetObjectItemCaseSensitive(object, room) != NULL)
        return false;
    bool text = method != NULL && takes_text(method, (struct bytes){room, (size_t)name_size});
    return (!text && is_scalar(value) ? cJSON_AddRawToObject(object, room, value)
                                      : cJSON_AddStringToObject(object, room, value)) != NULL;
}

/* The params of a query, an object in the request's memory; data NULL when it is no list of
 * `name=value`, or says a name twice. */
static struct bytes read_query(struct call *call, const struct method *method, struct bytes query)
{
    struct pool *pool = call->req.pool;
    char *room = pool_alloc(pool, query.size + 2), *json = NULL;
    cJSON *object = cJSON_CreateObject();
    struct bytes params = {NULL, 0};
    bool good = room != NULL && object != NULL;

    while (good && query.size > 0) {
        struct bytes pair = take(&query, '&');
        good = pair.size == 0 || add_pair(object, method, pair, room);
    }
    if (good)
        json = cJSON_PrintUnformatted(object);
    if (json != NULL) {
        size_t size = strlen(json);
        char *copy = pool_alloc(pool, size + 1);
        if (copy != NULL)
            params = (struct bytes){memcpy(copy, json, size), size};
    }
    cJSON_free(json);
    cJSON_Delete(object);
    return params;
}

/* ---- Calls ---- */

/* A call of the method that the path names, with these params. */
static enum envelope_status read_call(struct call *call, const struct http_request *http,
                                      struct bytes params, struct envelope *envelope,
                                      struct json_error *error)
{
    struct bytes path = {http->path.data + 1, http->path.size - 1};
    long size = decode(path, false, envelope->in_buffer, METHOD_NAME_MAX);

    if (size <= 0)
        return request_refuse_http(&call->req, 404, ERROR_METHOD_NOT_FOUND,
                                   "the path is no method's name");
    envelope->in = (struct bytes){envelope->in_buffer, (size_t)size};
    envelope->params = params.size == 0 ? BYTES("null") : params;
    call->req.body = params;
    if (params.size > 0 && !json_check(params, &call->server->limits, error))
        return ENVELOPE_NOT_JSON;
    return ENVELOPE_OK;
}

/* The method that the path names; NULL when there is none. */
static const struct method *method_of(const struct call *call, struct bytes path)
{
    char name[METHOD_NAME_MAX];
    long size = decode((struct bytes){path.data + 1, path.size - 1}, false, name, sizeof(name));

    return size <= 0
               ? NULL
               : method_table_find(&call->server->methods, (struct bytes){name, (size_t)size});
}

/* ENVELOPE_OK unless a page of another site shows it. */
static enum envelope_status check_embedded(struct call *call, const struct http_request *http)
{
    if (!is_embedded(http))
        return ENVELOPE_OK;
    return request_refuse_http(&call->req, 403, "forbidden",
                               "pages of other sites may not show what methods answer");
}

static enum envelope_status read_status(struct call *call, const struct http_request *http,
                                        struct envelope *envelope)
{
    enum envelope_status status = check_embedded(call, http);

    envelope->in = (struct bytes){NULL, 0};
    if (status != ENVELOPE_OK)
        return status;
    if (status_is_page(http->path))
        call->req.http.style |= HTTP_STYLE_PAGE;
    return status_is_metrics(http->path) ? ENVELOPE_METRICS : ENVELOPE_STATUS;
}

static enum envelope_status read_get(struct call *call, const struct http_request *http,
                                     struct envelope *envelope, struct json_error *error)
{
    struct bytes params = {"", 0};
    enum envelope_status status = check_embedded(call, http);

    if (status != ENVELOPE_OK)
        return status;
    if (http->query.data != NULL) {
        params = read_query(call, method_of(call, http->path), http->query);
        if (params.data == NULL)
            return request_refuse_http(&call->req, 400, ERROR_INVALID_REQUEST,
                                       "the query is no list of name=value, or says a name twice");
    }
    status = read_call(call, http, params, envelope, error);
    if (status != ENVELOPE_OK)
        return status;
    const struct method *method = method_table_find(&call->server->methods, envelope->in);
    if (method != NULL && !method->read_only)
        return request_refuse_http(&call->req, 405, ERROR_INVALID_REQUEST,
                                   "\"%s\" is called by POST", method->name.data);
    return ENVELOPE_OK;
}

static enum envelope_status read_post(struct call *call, const struct http_request *http,
                                      struct bytes raw, struct envelope *envelope,
                                      struct json_error *error)
{
    char *room = http->chunked ? pool_alloc(call->req.pool, (size_t)http->length + 1) : NULL;

    if (http->chunked && room == NULL)
        return request_refuse_http(&call->req, 503, PILLION_OVERLOADED,
                                   "there is no memory for the body");
    struct bytes body = http_content(raw, http, room);
    if (is_mcp(http->path))
        return mcp_read(call, body, envelope, error);
    if (http->path.size > 1)
        return read_call(call, http, body, envelope, error);
    if (body.size == 0)
        return request_refuse_http(&call->req, http->chunked ? 400 : 411, ERROR_INVALID_REQUEST,
                                   "there is no message in the body");
    enum envelope_status status =
        request_read(&call->req, body, &call->server->limits, envelope, error);
    if (call->req.notifies)
        call->req.http.style |= 204u << HTTP_STYLE_STATUS_SHIFT;
    else if (call->req.format == ENVELOPE_JSONRPC)
        call->req.http.style |= HTTP_STYLE_FAILS_WELL;
    call->req.notifies = false; /* the response says that it has come */
    return status;
}

/* ---- The rest ---- */

static enum envelope_status read_probe(struct call *call, struct bytes path)
{
    if (bytes_equal(path, BYTES(HTTP_PATH_HEALTH)))
        return answer(call, 200, BYTES("{\"status\":\"ok\"}"));
    if (call->dispatcher->incomplete)
        return answer(call, 503, BYTES("{\"status\":\"starting\"}"));
    if (!dispatcher_is_ready(call->dispatcher))
        return answer(call, 503, BYTES("{\"status\":\"draining\"}"));
    return answer(call, 200, BYTES("{\"status\":\"ready\"}"));
}

static bool is_status(const struct call *call, struct bytes path)
{
    return call->server->settings->status && status_has(path);
}

static bool is_probe(struct bytes path)
{
    return bytes_equal(path, BYTES(HTTP_PATH_HEALTH)) || bytes_equal(path, BYTES(HTTP_PATH_READY));
}

enum frame_status http_call_next(struct call *call, const struct frame_limits *limits,
                                 struct frame_progress *progress, struct frame *frame)
{
    const struct bytes input = {call->turn.in, call->turn.in_size};
    enum http_status status = http_next(input, limits, progress, &call->http);

    call->http_at = status == HTTP_WHOLE ? input.data : NULL;
    return protocol_http_frame(input, status, &call->http, frame);
}

/* A connection that ends soon ends with the response to the last request that has come, which says
 * so: its client then sends no other one into a connection that is being closed. */
static uint32_t style_of_end(struct call *call, struct bytes raw)
{
    struct conns *conns = call->dispatcher->conns;

    if (call->server->settings->keepalive_requests != 0)
        conn_requested(conns, call->conn, 1);
    if (!conn_parts_soon(conns, call->conn))
        return 0;
    struct bytes input = conn_input(conns, call->conn);
    return raw.data + raw.size == input.data + input.size ? HTTP_STYLE_CLOSE : 0;
}

enum envelope_status http_call_read(struct call *call, struct bytes raw, struct envelope *envelope,
                                    struct json_error *error)
{
    struct pillion_request *req = &call->req;
    const struct http_request *http = &call->http;
    struct frame_progress none = {0};

    if (call->http_at != raw.data)
        http_next(raw, &begun_limits, &none, &call->http);
    call->http_at = NULL;
    envelope->in = BYTES("");
    envelope->params = BYTES("null");
    envelope->id = (struct bytes){NULL, 0};
    envelope->format = ENVELOPE_BARE;
    envelope->notifies = false;
    req->http.style = http_style(http) | style_of_end(call, raw);
    req->format = ENVELOPE_BARE;
    req->notifies = false;
    req->http.retry_s = 0;
    req->http.date = http_call_date();
    req->head = http->fields;
    req->body = BYTES("");
    req->http.origin = (struct bytes){NULL, 0};

    enum envelope_status status = check_page(call, http);
    if (status != ENVELOPE_OK) {
        if (!call->began)
            return status;
        call_forget_answer(call);
    }
    bool watched = is_status(call, http->path);
    bool only_get = http->path.size > 1 && (watched || is_probe(http->path));
    if (bytes_equal(http->method, BYTES("POST")) && !only_get)
        return read_post(call, http, raw, envelope, error);
    if (bytes_equal(http->method, BYTES("OPTIONS")))
        return answer(call, 204, BYTES("null"));
    if (bytes_equal(http->method, BYTES("GET")) || (req->http.style & HTTP_STYLE_HEAD)) {
        if (is_probe(http->path))
            return read_probe(call, http->path);
        if (watched)
            return read_status(call, http, envelope);
        if (http->path.size > 1 && !is_mcp(http->path))
            return read_get(call, http, envelope, error);
    }
    if (only_get)
        req->http.style |= HTTP_STYLE_GET;
    return request_refuse_http(&call->req, 405, ERROR_INVALID_REQUEST, "\"%.*s\" is for %s",
                               (int)http->path.size, http->path.data, only_get ? "GET" : "POST");
}
