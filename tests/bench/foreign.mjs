// Servers that others wrote, for the benchmark: each gives back what its method `ping` is sent.
//
//     node foreign.mjs PACKAGES jayson|mcp PORT
//
// PACKAGES is a directory with the packages of tests/interop/npm.
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {resolve} from 'node:path';

const [directory, kind, port] = process.argv.slice(2);
const require = createRequire(resolve(directory) + '/');

// JSON-RPC, a line each, as its manual shows.
function jayson() {
    return new (require('jayson').Server)({ping: (params, done) => done(null, params)}).tcp();
}

// MCP without sessions and streams: a server for each request, which is how its manual has it.
function mcp() {
    const {McpServer} = require('@modelcontextprotocol/sdk/server/mcp.js');
    const {StreamableHTTPServerTransport} =
        require('@modelcontextprotocol/sdk/server/streamableHttp.js');
    const {z} = require('zod');
    const tool = {description: 'Gives its params back.', inputSchema: {n: z.number()}};

    return createServer(async (request, response) => {
        const server = new McpServer({name: 'ping', version: '1'});
        const transport = new StreamableHTTPServerTransport(
            {sessionIdGenerator: undefined, enableJsonResponse: true});
        response.on('close', () => server.close());
        server.registerTool('ping', tool, params => ({
            content: [{type: 'text', text: JSON.stringify(params)}], structuredContent: params}));
        await server.connect(transport);
        await transport.handleRequest(request, response);
    });
}

({jayson, mcp})[kind]().listen(Number(port), '127.0.0.1');
