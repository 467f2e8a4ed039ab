/* From MCP to calls. See mcp.h. */
#include "rpc/mcp.h"

#include <string.h>

#include "base/json_escape.h"
#include "base/version.h"
#include "rpc/mcp_field.h"
#include "rpc/tool.h"
#include "wire/http.h"

#define MODERN      "2026-07-28"
#define NEWEST_OLD  "2025-11-25"
#define META_PREFIX "io.modelcontextprotocol/"
#define VERSIONS    "[\"" MODERN "\",\"" NEWEST_OLD "\",\"2025-06-18\",\"2025-03-26\"]"
#define CALL        "tools/call"
#define SERVER_INFO "{\"name\":\"pillion\",\"version\":\"" PILLION_VERSION "\"}"

/* The revisions that begin with `initialize`. */
static const char *const old_versions[] = {NEWEST_OLD, "2025-06-18", "2025-03-26", "2024-11-05",
                                           "2024-10-07"};

/* A request being read. A call of a tool is read twice when something is wrong with it: the second
 * time behind the filters, which see to it that not everybody learns what. */
struct mcp {
    struct pillion_request *req;
    bool tells;          /* what is wrong is answered */
    bool modern;         /* revision 2026-07-28 or later */
    struct bytes method; /* of MCP */
    struct bytes params; /* an object; data NULL without one */
    struct bytes meta;   /* its `_meta`, likewise */
    char name_room[METHOD_NAME_MAX];
    struct bytes name; /* of the tool, data NULL without one that is a string */
};

/* ---- Answers ---- */

/* Answers with this result, and frees it. */
static void answer(const struct mcp *mcp, struct text *result)
{
    request_reply(mcp->req, "", bytes_of(text_string(result)));
    text_free(result);
}

/* All that refuse return false. */
__attribute__((format(printf, 4, 5))) static bool refuse(const struct mcp *mcp, unsigned status,
                                                         const char *code, const char *format, ...)
{
    va_list args;

    if (!mcp->tells)
        return false;
    mcp->req->http.style |= status << HTTP_STYLE_STATUS_SHIFT;
    va_start(args, format);
    request_fail_v(mcp->req, code, format, args);
    va_end(args);
    return false;
}

static bool refuse_version(const struct mcp *mcp, struct bytes requested)
{
    struct text result = {0};

    if (!mcp->tells)
        return false;
    text_append_string(&result, "{\"code\":\"" ERROR_UNSUPPORTED_VERSION "\",\"message\":\""
                                "this revision of MCP is not spoken here\",\"supported\":" VERSIONS
                                ",\"requested\":\"");
    text_append_json(&result, requested);
    text_append_string(&result, "\"}");
    mcp->req->http.style |= 400u << HTTP_STYLE_STATUS_SHIFT;
    request_fail_raw(mcp->req, ERROR_UNSUPPORTED_VERSION, (struct bytes){result.data, result.size});
    text_free(&result);
    return false;
}

/* ---- What the request says of itself ---- */

static struct bytes object_member(struct bytes object, struct bytes name)
{
    struct bytes none = {NULL, 0};
    struct bytes value = object.data == NULL ? none : envelope_member(object, name);

    return value.data != NULL && *value.data == '{' ? value : none;
}

/* The string that is this member, without escapes: data NULL when there is none, or it is longer
 * than the room. */
static struct bytes string_member(struct bytes object, struct bytes name, char *room,
                                  size_t capacity)
{
    struct bytes none = {NULL, 0};
    struct bytes value = object.data == NULL ? none : envelope_member(object, name);
    long size =
        value.data == NULL || *value.data != '"' ? -1 : json_string_text(value, room, capacity);

    return size < 0 ? none : (struct bytes){room, (size_t)size};
}

/* True when `_meta` and the fields of a modern request say what they must, and the same. */
static bool check_modern(const struct mcp *mcp)
{
    struct bytes fields = mcp->req->head;
    struct pool *pool = mcp->req->pool;
    char room[64];
    struct bytes version =
        string_member(mcp->meta, BYTES(META_PREFIX "protocolVersion"), room, sizeof(room));

    if (version.data == NULL ||
        object_member(mcp->meta, BYTES(META_PREFIX "clientCapabilities")).data == NULL)
        return refuse(mcp, 400, PILLION_INVALID_PARAMS,
                      "_meta needs " META_PREFIX "protocolVersion, a string, and " META_PREFIX
                      "clientCapabilities, an object");
    if (!mcp_field_is(http_find(fields, "mcp-protocol-version"), version, pool))
        return refuse(mcp, 400, ERROR_HEADER_MISMATCH,
                      "MCP-Protocol-Version has to be what _meta says");
    if (!mcp_field_is(http_find(fields, "mcp-method"), mcp->method, pool))
        return refuse(mcp, 400, ERROR_HEADER_MISMATCH, "Mcp-Method has to be the method's name");
    if (bytes_equal(mcp->method, BYTES(CALL)) && mcp->name.data != NULL &&
        !mcp_field_is(http_find(fields, "mcp-name"), mcp->name, pool))
        return refuse(mcp, 400, ERROR_HEADER_MISMATCH, "Mcp-Name has to be the tool's name");
    if (!bytes_equal(version, BYTES(MODERN)))
        return refuse_version(mcp, version);
    return true;
}

/* True for a request of revision 2026-07-28 or later. */
static bool is_modern(const struct mcp *mcp)
{
    return (mcp->meta.data != NULL &&
            envelope_member(mcp->meta, BYTES(META_PREFIX "protocolVersion")).data != NULL) ||
           bytes_equal(http_find(mcp->req->head, "mcp-protocol-version"), BYTES(MODERN)) ||
           bytes_equal(mcp->method, BYTES("server/discover"));
}

static const char *old_version(struct bytes asked)
{
    for (size_t i = 0; i < sizeof(old_versions) / sizeof(*old_versions); i++) {
        if (bytes_equal(asked, bytes_of(old_versions[i])))
            return old_versions[i];
    }
    return NULL;
}

static bool check_old(const struct mcp *mcp)
{
    struct bytes version = http_find(mcp->req->head, "mcp-protocol-version");

    return version.data == NULL || old_version(version) != NULL || refuse_version(mcp, version);
}

/* Reads what the request says of itself. False when that is not sound. */
static bool read_self(struct mcp *mcp, struct bytes method, struct bytes params)
{
    mcp->method = method;
    mcp->params = *params.data == '{' ? params : (struct bytes){NULL, 0};
    mcp->meta = object_member(mcp->params, BYTES("_meta"));
    mcp->name = string_member(mcp->params, BYTES("name"), mcp->name_room, sizeof(mcp->name_room));
    mcp->modern = is_modern(mcp);
    return mcp->modern ? check_modern(mcp) : check_old(mcp);
}

/* ---- Calls of tools ---- */

/* Makes the envelope one that calls the tool's method. False when there is none such, or it cannot
 * be called so. */
static bool call_tool(const struct mcp *mcp, struct envelope *envelope)
{
    struct pillion_request *req = mcp->req;
    const struct method_table *methods = req->introspect->methods;
    const struct bytes none = {NULL, 0};
    struct bytes wrong = none;
    struct bytes arguments =
        mcp->params.data == NULL ? none : envelope_member(mcp->params, BYTES("arguments"));
    const struct method *method =
        mcp->name.data == NULL ? NULL : method_table_find(methods, mcp->name);

    if (mcp->name.data == NULL)
        return refuse(mcp, 200, PILLION_INVALID_PARAMS, "`name` has to be the tool's name");
    if (method == NULL || !method->tool)
        return refuse(mcp, 200, PILLION_INVALID_PARAMS, "there is no tool \"%.*s\" here",
                      (int)mcp->name.size, mcp->name.data);
    if (arguments.data != NULL && *arguments.data != '{')
        return refuse(mcp, 200, PILLION_INVALID_PARAMS, "`arguments` has to be an object");
    if (mcp->modern && method->has_fields &&
        !mcp_params_are(req->head, bytes_of(method->params_schema),
                        arguments.data == NULL ? BYTES("{}") : arguments, req->pool, &wrong))
        return refuse(mcp, 400, ERROR_HEADER_MISMATCH,
                      "Mcp-Param-%.*s has to be what the arguments say", (int)wrong.size,
                      wrong.data);
    envelope->in = method->name;
    envelope->params = arguments.data == NULL ? BYTES("{}") : arguments;
    envelope->format = req->format = mcp->modern ? ENVELOPE_TOOL : ENVELOPE_TOOL_LEGACY;
    return true;
}

enum envelope_status mcp_read(struct call *call, struct bytes body, struct envelope *envelope,
                              struct json_error *error)
{
    struct pillion_request *req = &call->req;
    enum envelope_status status = request_read(req, body, &call->server->limits, envelope, error);
    bool notifies = req->notifies, own = req->format == ENVELOPE_PILLION;
    struct mcp mcp = {.req = req};

    req->notifies = false; /* the response says that it has come */
    req->format = envelope->format = ENVELOPE_JSONRPC;
    if (status == ENVELOPE_BATCH || (status == ENVELOPE_OK && own))
        return request_refuse_http(req, 400, ERROR_INVALID_REQUEST,
                                   "MCP takes one request of JSON-RPC 2.0 at a time");
    if (status != ENVELOPE_OK)
        return status;
    if (notifies) {
        req->format = ENVELOPE_BARE;
        req->http.style |= 202u << HTTP_STYLE_STATUS_SHIFT;
        request_reply(req, "", BYTES(""));
        return ENVELOPE_INVALID;
    }
    if (bytes_equal(req->id, BYTES("null")))
        return request_refuse_http(req, 400, ERROR_INVALID_REQUEST,
                                   "`id` has to be a string or a number");
    if (bytes_equal(envelope->in, BYTES(CALL)) && read_self(&mcp, envelope->in, envelope->params) &&
        call_tool(&mcp, envelope))
        return ENVELOPE_OK;
    envelope->in = (struct bytes){NULL, 0};
    return ENVELOPE_MCP;
}

/* ---- The other requests ---- */

static void discover(const struct mcp *mcp)
{
    struct text result = {0};

    text_append_string(&result,
                       "{\"resultType\":\"complete\",\"supportedVersions\":" VERSIONS
                       ",\"capabilities\":{\"tools\":{}},\"ttlMs\":0,\"cacheScope\":"
                       "\"private\",\"_meta\":{\"" META_PREFIX "serverInfo\":" SERVER_INFO "}}");
    answer(mcp, &result);
}

static void initialize(const struct mcp *mcp)
{
    struct text result = {0};
    char room[64];
    const char *version =
        old_version(string_member(mcp->params, BYTES("protocolVersion"), room, sizeof(room)));

    text_printf(&result,
                "{\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{}},"
                "\"serverInfo\":" SERVER_INFO "}",
                version == NULL ? NEWEST_OLD : version);
    answer(mcp, &result);
}

static void ping(const struct mcp *mcp)
{
    struct text result = {0};

    text_append_string(&result, "{}");
    answer(mcp, &result);
}

static void list(const struct mcp *mcp)
{
    struct text result = {0};

    if (mcp->params.data != NULL && envelope_member(mcp->params, BYTES("cursor")).data != NULL) {
        refuse(mcp, 200, PILLION_INVALID_PARAMS, "the list is whole: no `cursor` was given");
        return;
    }
    text_append_string(&result,
                       mcp->modern ? "{\"resultType\":\"complete\",\"tools\":" : "{\"tools\":");
    tool_list(mcp->req->introspect->methods, &result);
    text_append_string(&result, mcp->modern ? ",\"ttlMs\":0,\"cacheScope\":\"private\"}" : "}");
    answer(mcp, &result);
}

void mcp_answer(struct pillion_request *req)
{
    char room[METHOD_NAME_MAX];
    struct bytes method = string_member(req->body, BYTES("method"), room, sizeof(room));
    struct mcp mcp = {.req = req, .tells = true};
    struct envelope none;

    if (!read_self(&mcp, method, req->params))
        return;
    if (bytes_equal(method, BYTES(CALL)))
        call_tool(&mcp, &none); /* something is wrong with it */
    else if (bytes_equal(method, BYTES("tools/list")))
        list(&mcp);
    else if (mcp.modern && bytes_equal(method, BYTES("server/discover")))
        discover(&mcp);
    else if (!mcp.modern && bytes_equal(method, BYTES("initialize")))
        initialize(&mcp);
    else if (!mcp.modern && bytes_equal(method, BYTES("ping")))
        ping(&mcp);
    else
        refuse(&mcp, mcp.modern ? 404 : 200, ERROR_METHOD_NOT_FOUND,
               "there is no method \"%.*s\" of MCP here", (int)method.size, method.data);
}
