import type { ServerResponse } from 'node:http';

/** Milliseconds without a byte taken, after which a client is cut off. */
const STALL_MS = 60_000;

/** Sends a web response. Reads no more of its body than the client takes, and cancels it when the client is gone. */
export async function writeNodeResponse(response: Response, res: ServerResponse): Promise<void> {
  if (res.destroyed) return response.body?.cancel();
  res.writeHead(response.status, readHeaders(response));
  if (response.body === null) {
    res.end();
    return;
  }
  res.flushHeaders();
  await pump(response.body.getReader(), res);
}

async function pump(reader: ReadableStreamDefaultReader<Uint8Array>, res: ServerResponse): Promise<void> {
  res.on('close', () => void reader.cancel().catch(() => {}));
  res.on('timeout', () => res.destroy());
  // A body that fails halfway, also while nobody reads: the client must not take what it got for the whole.
  reader.closed.catch(() => res.destroy());
  for (;;) {
    const { done, value } = await reader.read();
    if (res.destroyed) return;
    if (done) break;
    if (!res.write(value)) await drained(res);
  }
  res.end();
}

/** Resolves when the client can take more, is gone, or was cut off because it took nothing. */
function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      res.off('drain', settle);
      res.off('close', settle);
      res.setTimeout(0);
      resolve();
    };
    res.on('drain', settle);
    res.on('close', settle);
    // Node's own timer looks at the bytes still queued, so a slow client that takes some is left alone.
    res.setTimeout(STALL_MS);
  });
}

function readHeaders(response: Response): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of response.headers) headers[name] = value;
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  return headers;
}
