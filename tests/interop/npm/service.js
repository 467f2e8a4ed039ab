// A service of JSON-RPC over HTTP, of a package of npm's:
//
//     node service.js NAME PORT
//
// add(a, b), by position or by name; echo; note, which remembers what it was given; doubles: how
// often it was given the same; refuse: an error of its own. Prints "ready" when it listens.
'use strict';
const http = require('http');

const here = '127.0.0.1';
const [name, port] = [process.argv[2], Number(process.argv[3])];
const found = (what) => require(require.resolve(what, {paths: [process.cwd()]}));
const noted = new Set();
let doubles = 0;

const refusal = {code: -32050, message: 'not today', data: {until: 'tomorrow', n: [1.5]}};
const methods = {
    add: (params) => Array.isArray(params) ? params[0] + params[1] : params.a + params.b,
    echo: (params) => params,
    note(params) {
        doubles += noted.has(params.n);
        noted.add(params.n);
        return params.n;
    },
    doubles: () => doubles,
};

const services = {
    jayson() {
        const jayson = found('jayson');
        const table = {refuse: (params, done) => done(refusal)};
        for (const [key, method] of Object.entries(methods))
            table[key] = (params, done) => done(null, method(params));
        return new jayson.Server(table).http();
    },

    'json-rpc-2.0'() {
        const {JSONRPCServer, JSONRPCErrorException} = found('json-rpc-2.0');
        const server = new JSONRPCServer({errorListener: () => {}});
        for (const [key, method] of Object.entries(methods))
            server.addMethod(key, method);
        server.addMethod('refuse', () => {
            throw new JSONRPCErrorException(refusal.message, refusal.code, refusal.data);
        });
        return http.createServer((request, response) => {
            let body = '';
            request.on('data', (piece) => { body += piece; });
            request.on('end', async () => {
                const reply = await server.receiveJSON(body);
                response.writeHead(reply ? 200 : 204, {'content-type': 'application/json'});
                response.end(reply ? JSON.stringify(reply) : undefined);
            });
        });
    },
};

services[name]().listen(port, here, () => console.log('ready'));
