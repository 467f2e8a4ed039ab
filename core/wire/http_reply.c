/* Writing heads of responses. See http_reply.h. */
#include "wire/http_reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The statuses that are sent, and their phrases (RFC 9110 section 15, RFC 6585). */
static const struct {
    unsigned status;
    const char *phrase;
} statuses[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *phrase_of(unsigned status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].phrase;
    }
    return "Error";
}

/* Not strftime: its names are the locale's. */
void http_date(int64_t seconds, char date[HTTP_DATE_SIZE + 1])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t time = (time_t)seconds;
    char text[64];
    struct tm utc = {0};

    gmtime_r(&time, &utc);
    snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday % 7],
             utc.tm_mday % 100, months[utc.tm_mon % 12], (utc.tm_year + 1900) % 10000,
             utc.tm_hour % 100, utc.tm_min % 100, utc.tm_sec % 100);
    memcpy(date, text, HTTP_DATE_SIZE);
    date[HTTP_DATE_SIZE] = '\0';
}

uint32_t http_style(const struct http_request *request)
{
    uint32_t style = 0;

    if (bytes_equal(request->method, BYTES("HEAD")))
        style |= HTTP_STYLE_HEAD;
    if (bytes_equal(request->method, BYTES("OPTIONS")))
        style |= HTTP_STYLE_OPTIONS;
    if (!request->keep_alive)
        style |= HTTP_STYLE_CLOSE;
    else if (request->minor == 0)
        style |= HTTP_STYLE_KEEP;
    return style;
}

unsigned http_reply_status(const struct reply *reply)
{
    unsigned fixed = reply->http->style >> HTTP_STYLE_STATUS_SHIFT;

    if (fixed != 0)
        return fixed;
    if (reply->format == ENVELOPE_TOOL || reply->format == ENVELOPE_TOOL_LEGACY)
        return reply->error != NULL && reply->error->status == 401 ? 401 : 200;
    return reply->error == NULL || (reply->http->style & HTTP_STYLE_FAILS_WELL)
               ? 200
               : reply->error->status;
}

bool http_reply_has_body(const struct reply *reply)
{
    return !(reply->http->style & HTTP_STYLE_HEAD) && http_reply_status(reply) != 204;
}

/* Where a head is written to, or measured. */
struct head {
    char *to;
    size_t size;
};

static void put(struct head *head, const char *data, size_t size)
{
    if (head->to != NULL)
        memcpy(head->to + head->size, data, size);
    head->size += size;
}

#define PUT(head, text) put(head, text, sizeof(text) - 1)

static void put_text(struct head *head, const char *text)
{
    put(head, text, strlen(text));
}

static void put_number(struct head *head, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(head, digits + at, sizeof(digits) - at);
}

static void put_status(struct head *head, unsigned status)
{
    const char *phrase = phrase_of(status);

    PUT(head, "HTTP/1.1 ");
    put_number(head, status);
    PUT(head, " ");
    put_text(head, phrase);
    PUT(head, "\r\n");
}

/* The fields that tell a client what to do about an error. */
static void put_advice(struct head *head, const struct reply *reply, unsigned status)
{
    if (reply->http->style & HTTP_STYLE_OPTIONS)
        PUT(head, "Allow: GET, HEAD, POST, OPTIONS\r\n");
    else if (status == 405)
        put_text(head, reply->http->style & HTTP_STYLE_GET ? "Allow: GET, HEAD, OPTIONS\r\n"
                                                           : "Allow: POST, OPTIONS\r\n");
    if (status == 401)
        PUT(head, "WWW-Authenticate: Bearer\r\n");
    if (reply->http->retry_s > 0 && status >= 400) {
        PUT(head, "Retry-After: ");
        put_number(head, reply->http->retry_s);
        PUT(head, "\r\n");
    }
}

/* The kind of the body. */
static void put_kind(struct head *head, const struct reply *reply)
{
    static const char *const types[] = {
        [0] = "application/json",
        [HTTP_STYLE_METRICS / HTTP_STYLE_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
        [HTTP_STYLE_PAGE / HTTP_STYLE_METRICS] = "text/html; charset=utf-8",
        [HTTP_STYLE_STREAM / HTTP_STYLE_METRICS] = "text/event-stream",
    };
    uint32_t kind = reply->http->style & HTTP_STYLE_KIND;

    PUT(head, "Content-Type: ");
    put_text(head, types[kind / HTTP_STYLE_METRICS]);
    PUT(head, "\r\n");
    if (kind == HTTP_STYLE_PAGE || kind == HTTP_STYLE_STREAM)
        PUT(head, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    if (kind == HTTP_STYLE_STREAM) /* proxies that know the field hand each event on at once */
        PUT(head, "X-Accel-Buffering: no\r\n");
    if (kind != HTTP_STYLE_PAGE)
        return;
    PUT(head, "Referrer-Policy: no-referrer\r\n"
              "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'nonce-");
    put(head, reply->http->nonce.data, reply->http->nonce.size);
    PUT(head, "'; style-src 'nonce-");
    put(head, reply->http->nonce.data, reply->http->nonce.size);
    PUT(head, "'\r\n");
}

size_t http_reply_head(const struct reply *reply, size_t body, char *to)
{
    unsigned status = http_reply_status(reply);
    struct head head = {.to = to};

    put_status(&head, status);
    PUT(&head, "Date: ");
    put(&head, reply->http->date, HTTP_DATE_SIZE);
    PUT(&head, "\r\n");
    if (status != 204 && (body > 0 || status != 202))
        put_kind(&head, reply);
    if (status != 204 && !http_reply_is_stream(reply->http->style)) {
        PUT(&head, "Content-Length: ");
        put_number(&head, body);
        PUT(&head, "\r\n");
    }
    put_advice(&head, reply, status);
    if (reply->http->origin.data != NULL) {
        PUT(&head, "Access-Control-Allow-Origin: ");
        put(&head, reply->http->origin.data, reply->http->origin.size);
        PUT(&head, "\r\nVary: Origin\r\n");
        if (reply->http->style & HTTP_STYLE_OPTIONS)
            PUT(&head, "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
                       "Access-Control-Allow-Headers: Authorization, *\r\n"
                       "Access-Control-Max-Age: 600\r\n");
    }
    if ((reply->http->style & HTTP_STYLE_CLOSE) || http_reply_is_stream(reply->http->style))
        PUT(&head, "Connection: close\r\n");
    else if (reply->http->style & HTTP_STYLE_KEEP)
        PUT(&head, "Connection: keep-alive\r\n");
    PUT(&head, "\r\n");
    return head.size;
}
