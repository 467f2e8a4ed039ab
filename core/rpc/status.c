/* Answering scrapers. See status.h. */
#include "rpc/status.h"

#include "rpc/exposition.h"
#include "rpc/introspect.h"
#include "wire/http_reply.h"

void status_answer(struct pillion_request *req)
{
    struct text text = {0};

    exposition_write(req->introspect->board, &text);
    req->http.style |= HTTP_STYLE_METRICS;
    request_reply(req, "", (struct bytes){text.data, text.size});
    text_free(&text);
}
