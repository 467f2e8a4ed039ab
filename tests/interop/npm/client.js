// One client of npm's, which calls ping again and again until its standard input ends:
//
//     node client.js NAME PORT
//
// Each call sends a number of its own and wants it back. A line for each: "ok", or what went wrong.
// Packages are found by NODE_PATH, or in node_modules of the working directory.
'use strict';
const net = require('net');
const path = require('path');

const here = '127.0.0.1';
const [name, port] = [process.argv[2], Number(process.argv[3])];
const found = (what) => require(require.resolve(what, {paths: [process.cwd()]}));

// Each gives a function that calls ping with params and resolves to the result.
const clients = {
    // jayson's own agent makes a connection for each call; this one keeps them.
    'jayson-http'() {
        const agent = new (require('http').Agent)({keepAlive: true});
        return promised(found('jayson').client.http({host: here, port, agent}));
    },

    'jayson-tcp': () => promised(found('jayson').client.tcp({host: here, port})),

    'json-rpc-2.0'() {
        const {JSONRPCClient} = found('json-rpc-2.0');
        const client = new JSONRPCClient(async (request) => {
            const reply = await fetch(`http://${here}:${port}/`, {
                method: 'POST',
                headers: {'content-type': 'application/json'},
                body: JSON.stringify(request),
            });
            client.receive(await reply.json());
        });
        return (params) => client.request('ping', params);
    },

    'vscode-jsonrpc'() {
        const rpc = found('vscode-jsonrpc/node');
        const socket = net.connect(port, here);
        const connection = rpc.createMessageConnection(new rpc.StreamMessageReader(socket),
                                                       new rpc.StreamMessageWriter(socket));
        connection.onClose(() => console.log('the connection was closed'));
        connection.listen();
        return async (params) => {
            await connection.sendNotification('ping', params);
            return connection.sendRequest('ping', params);
        };
    },

    async '@open-rpc/client-js'() {
        const file = path.join(process.cwd(), 'node_modules/@open-rpc/client-js/package.json');
        const {main, module, exports} = require(file);
        const entry = path.join(path.dirname(file), module || main || exports['.'].import);
        const {Client, HTTPTransport, RequestManager} = await import(entry);
        const transport = new HTTPTransport(`http://${here}:${port}/`);
        const client = new Client(new RequestManager([transport]));
        return (params) => client.request({method: 'ping', params});
    },
};

// jayson's callbacks, with the error of the transport and that of the reply in one.
function promised(client) {
    return (params) => new Promise((resolve, reject) => {
        client.request('ping', params, (error, reply) => {
            if (error || reply.error)
                reject(error || new Error(JSON.stringify(reply.error)));
            else
                resolve(reply.result);
        });
    });
}

async function main() {
    const call = await clients[name]();
    let ended = false;

    process.stdin.on('end', () => { ended = true; }).resume();
    for (let n = 0; !ended; n++) {
        const result = await call({n});
        if (result.n !== n)
            throw new Error(`${JSON.stringify(result)} is not the answer to ${n}`);
        console.log('ok');
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

main().then(() => process.exit(0), (error) => {
    console.log(String(error && error.stack || error).replace(/\n\s*/g, ' | '));
    process.exit(1);
});
