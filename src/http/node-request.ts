import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** What frameworks add to a request. */
interface FrameworkRequest extends IncomingMessage {
  /** Express: the path before its mount point was cut off. */
  originalUrl?: string;
  /** Express: the body, after a parser has read it. */
  body?: unknown;
}

/** The web request of a Node request; null when the web's rules do not allow one. */
export function readNodeRequest(req: FrameworkRequest, signal: AbortSignal): Request | null {
  const url = readUrl(req);
  if (url === null) return null;
  const method = req.method ?? 'GET';
  const hasBody = method !== 'GET' && method !== 'HEAD';
  try {
    return new Request(url, {
      method,
      headers: readHeaders(req),
      signal,
      ...(hasBody ? { body: readNodeBody(req), duplex: 'half' } : {}),
    } as RequestInit);
  } catch {
    return null;
  }
}

const HOST = /^[\w.:[\]-]+$/;

// The path is appended as text: resolved against a base, "//other/path" would name another host.
function readUrl(req: FrameworkRequest): URL | null {
  const protocol = (req.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http';
  const host = req.headers.host ?? req.headers[':authority'] ?? 'localhost';
  const target = req.originalUrl ?? req.url ?? '/';
  const url = target.startsWith('/') ? `${protocol}://${host}${target}` : target;
  if (typeof host !== 'string' || !HOST.test(host) || !URL.canParse(url)) return null;
  const parsed = new URL(url);
  return parsed.protocol === 'http:' || parsed.protocol === 'https:' ? parsed : null;
}

function readHeaders(req: IncomingMessage): Headers {
  const headers = new Headers();
  const { rawHeaders } = req;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (!name.startsWith(':')) headers.append(name, rawHeaders[i + 1]!);
  }
  return headers;
}

function readNodeBody(req: FrameworkRequest): BodyInit {
  const { body } = req;
  const parsed = req.readableDidRead && body !== undefined;
  if (!parsed) return streamOf(req);
  return typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body);
}

/** The request's bytes, read when they are asked for. What is not read stays in the socket. */
function streamOf(req: IncomingMessage): ReadableStream<Uint8Array> {
  let ended = false;
  return new ReadableStream(
    {
      start(controller) {
        req.on('data', (chunk: Uint8Array) => {
          req.pause();
          if (!ended) controller.enqueue(chunk);
        });
        req.on('end', () => {
          if (!ended) controller.close();
          ended = true;
        });
        const fail = () => {
          if (!ended) controller.error(new Error('The request broke off.'));
          ended = true;
        };
        req.on('error', fail);
        req.on('close', fail);
        req.pause();
      },
      pull() {
        req.resume();
      },
      cancel() {
        ended = true;
      },
    },
    { highWaterMark: 0 },
  );
}
