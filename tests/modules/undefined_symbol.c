/* Uses a function that nobody provides. */
#include <pillion/module.h>

void frobnicate_the_widget(void);

static void answer(pillion_request *req)
{
    frobnicate_the_widget();
    pillion_reply_raw(req, "answer", pillion_params_raw(req));
}

static const pillion_method methods[] = {{.name = "answer", .handler = answer}, {0}};

PILLION_MODULE(.name = "undefined_symbol", .version = "1.0.0", .methods = methods);
