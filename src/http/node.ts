import type { IncomingMessage, ServerResponse } from 'node:http';
import { readNodeRequest } from './node-request.js';
import { writeNodeResponse } from './node-response.js';

/**
 * Mounts a `(Request) => Promise<Response>` handler in `node:http`, Express or Fastify.
 *
 * Bodies stream both ways and at the slower end's pace. When the client goes away, the request's
 * `signal` aborts and the response's body is cancelled. A client that takes nothing of what was
 * written for 60 seconds is cut off. The listener never rejects. `x-forwarded-*` headers are not
 * believed: the request's URL is made of the `host` header and the socket.
 *
 * In Express mount it anywhere, also after `express.json()`; where the handler has a base path, the
 * full path (`originalUrl`) counts. In Fastify hand over the raw pair before the body is parsed.
 *
 * @example
 * createServer(toNodeListener(handler)).listen(3000);
 * express().use('/pgflow', toNodeListener(handler));
 * fastify.addHook('onRequest', (request, reply, done) => {
 *   if (!request.url.startsWith('/pgflow/')) return done();
 *   reply.hijack();
 *   void listener(request.raw, reply.raw);
 * });
 */
export function toNodeListener(
  handler: (request: Request) => Promise<Response>,
): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  return async (req, res) => {
    const gone = new AbortController();
    res.on('error', () => {});
    res.on('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    try {
      const request = readNodeRequest(req, gone.signal);
      if (request === null) refuseMalformed(res);
      else await writeNodeResponse(await handler(request), res);
    } catch {
      if (res.headersSent) res.destroy();
      else res.writeHead(500).end();
    } finally {
      discardRest(req);
    }
  };
}

// What is left of a request that was answered half-read would block the next one on its connection.
function discardRest(req: IncomingMessage): void {
  if (req.readableEnded) return;
  req.removeAllListeners('data');
  req.resume();
}

function refuseMalformed(res: ServerResponse): void {
  const error = { code: 'INVALID_REQUEST', message: 'The request line or a header is malformed.' };
  res.writeHead(400, { 'content-type': 'application/json; charset=utf-8' });
  res.end(JSON.stringify({ error }));
}
