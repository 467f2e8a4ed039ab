// One client of npm's, which calls ping again and again until its standard input ends (clients of
// MCP call greet, a tool):
//
//     node client.js NAME PORT
//
// Each call sends a number of its own and wants it back. A line for each: "ok", or what went wrong.
// A connection that the server closes is something that went wrong.
// Packages are found by NODE_PATH, or in node_modules of the working directory.
'use strict';
const fs = require('fs');
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

    async 'mcp sdk 1'() {
        const {Client} = await find('@modelcontextprotocol/sdk', 'client/index.js');
        const {StreamableHTTPClientTransport: Transport} =
            await find('@modelcontextprotocol/sdk', 'client/streamableHttp.js');
        return agent(new Client({name: 'interop', version: '1'}), Transport, '2025-11-25');
    },

    'mcp client 2': () => newAgent({}, '2025-11-25'),
    'mcp client 2, auto': () => newAgent({versionNegotiation: {mode: 'auto'}}, '2026-07-28'),
    'mcp client 2, pin': () =>
        newAgent({versionNegotiation: {mode: {pin: '2026-07-28'}}}, '2026-07-28'),
};

// A module of packages that have an entry for each of their files, or for `.` alone.
async function find(name, file) {
    const at = path.join(process.cwd(), 'node_modules', name);
    const exported = JSON.parse(fs.readFileSync(path.join(at, 'package.json'))).exports;
    const entry = file ? path.join('dist/esm', file) : exported['.'].import.default ||
                                                       exported['.'].import;
    return import(path.join(at, entry));
}

async function newAgent(options, version) {
    const {Client, StreamableHTTPClientTransport} = await find('@modelcontextprotocol/client');
    return agent(new Client({name: 'interop', version: '1'}, options),
                 StreamableHTTPClientTransport, version);
}

// Now and then it asks for the list, makes the tool fail, or wants one that is not there.
async function agent(client, Transport, version) {
    const transport = new Transport(new URL(`http://${here}:${port}/mcp`));
    const call = (name, args) => client.callTool({name, arguments: args});

    await client.connect(transport);
    same(client.getServerVersion().name, 'pillion');
    same(client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion, version);
    return async ({n}) => {
        if (n % 8 === 1)
            same((await client.listTools()).tools.map((tool) => tool.name).includes('greet'), true);
        if (n % 8 === 2)
            same((await call('greet', {})).isError, true);
        if (n % 8 === 3)
            same(await call('none', {}).then(() => 0, (error) => error.code), -32602);
        const {content, isError} = await call('greet', {name: String(n)});
        same(isError, false);
        return {n: Number(/^Hello, (\d+)!$/.exec(content[0].text)[1])};
    };
}

function same(value, wanted) {
    if (value !== wanted)
        throw new Error(`${JSON.stringify(value)} came, and not ${JSON.stringify(wanted)}`);
}

// fetch connects anew without a word. Its dispatcher is there after the first call.
function watchFetch() {
    globalThis[Symbol.for('undici.globalDispatcher.1')]?.on('disconnect', (url, way, error) => {
        if (error?.code === 'UND_ERR_SOCKET')
            console.log(`a connection was closed: ${error.message}`);
    });
}

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
        if (n === 0)
            watchFetch();
        console.log('ok');
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

main().then(() => process.exit(0), (error) => {
    console.log(String(error && error.stack || error).replace(/\n\s*/g, ' | '));
    process.exit(1);
});
