import { Refusal } from './refusal.js';

/**
 * The JSON object in a request's body; `{}` for an empty one. Bytes are counted as they come,
 * whatever `content-length` says, and reading stops at the limit.
 */
export async function readBody(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  const text = await readText(request, maxBytes);
  if (text.trim() === '') return {};
  refuseOtherThanJson(request);
  const body = parse(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refusal(400, 'INVALID_INPUT', 'The body has to be a JSON object, such as {"input": …}.');
  }
  return body as Record<string, unknown>;
}

// A form of another site can send three content types without being asked first; JSON is none of them.
function refuseOtherThanJson(request: Request): void {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json') return;
  throw new Refusal(415, 'INVALID_REQUEST', 'Send this request with `content-type: application/json`.');
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  if (request.body === null) return '';
  const reader = request.body.getReader();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  let bytes = 0;
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.byteLength;
      if (bytes > maxBytes) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    throw new Refusal(400, 'INVALID_INPUT', 'The body broke off or is not UTF-8.');
  }
  reader.cancel().catch(() => {});
  throw new Refusal(413, 'LIMIT_EXCEEDED', `The body is larger than the limit of ${maxBytes} bytes.`, {
    data: { maxBodyBytes: maxBytes },
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'INVALID_INPUT', 'The body is not JSON.');
  }
}
