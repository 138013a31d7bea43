import { describe, expect, it, vi } from 'vitest';
import { PgFlowError, type PgFlowErrorCode } from '../errors.js';
import { decodeRun } from '../run/codec.js';
import type { Authorize } from './access.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';
import { OTHER_ID, RUN_ID } from './sample-run.test-support.js';
import { ScriptedPgFlow } from './scripted-pgflow.test-support.js';

const BASE = 'http://app.test/pgflow';

function setUp(options: Partial<HandlerOptions> = {}) {
  const pgflow = new ScriptedPgFlow();
  const onError = vi.fn();
  const authorize = vi.fn<Authorize>(() => true);
  const handler = createHandler({ pgflow, authorize, onError, ...options });
  const send = async (path: string, init: RequestInit = {}) => {
    const response = await handler(new Request(BASE + path, init));
    return { response, status: response.status, body: JSON.parse(await response.text()) };
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    send(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
  return { pgflow, handler, authorize, onError, send, post };
}

describe('making a handler', () => {
  it('is refused without authorize, and says what to pass', () => {
    const make = () => createHandler({ pgflow: new ScriptedPgFlow() } as never);
    expect(make).toThrow(/authorize: \(request, \{ action, runId, flowSlug \}\)/);
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION' }));
  });

  it.each(['api', 5, null])('is refused for a base path that is none: %j', (basePath) => {
    const options = { pgflow: new ScriptedPgFlow(), authorize: () => true, basePath };
    expect(() => createHandler(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_DEFINITION', message: expect.stringContaining('basePath') }),
    );
  });

  it.each([[undefined], [{}], [{ pgflow: null }]])('is refused without a pgflow: %j', (options) => {
    expect(() => createHandler((options && { authorize: () => true, ...options }) as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_DEFINITION' }),
    );
  });

  it.each(['', '/', '/api/flows', '/pgflow/'])('answers under the base path %j', async (basePath) => {
    const { handler, pgflow } = setUp({ basePath });
    pgflow.add(RUN_ID);
    const path = `${basePath.replace(/\/$/, '')}/runs/${RUN_ID}`;
    expect((await handler(new Request(`http://app.test${path}`))).status).toBe(200);
  });
});

describe('start', () => {
  it('creates a run: 201, and the run can be read back', async () => {
    const { post, authorize, pgflow } = setUp();
    const { status, body } = await post('/flows/process_order/runs', { input: { a: 1 }, runId: RUN_ID });
    expect(status).toBe(201);
    expect(decodeRun(body.run)).toEqual(await pgflow.getRun(RUN_ID));
    expect(authorize.mock.calls.map(([, access]) => access)).toEqual([
      { action: 'start', flowSlug: 'process_order', runId: RUN_ID },
    ]);
  });

  it('answers 200 with the first run when it was there', async () => {
    const { post } = setUp();
    const first = await post('/flows/process_order/runs', { input: [1], runId: RUN_ID });
    const second = await post('/flows/process_order/runs', { input: [1], runId: RUN_ID.toUpperCase() });
    expect(second.status).toBe(200);
    expect(second.body).toEqual(first.body);
  });

  it('answers 409 for another input, without a word on the run that is there', async () => {
    const { post } = setUp();
    await post('/flows/process_order/runs', { input: 1, runId: RUN_ID });
    const { status, body } = await post('/flows/process_order/runs', { input: 2, runId: RUN_ID });
    expect([status, body.error.code]).toEqual([409, 'RUN_CONFLICT']);
    expect(JSON.stringify(body)).not.toContain('secret_flow');
  });

  it('does not show a run that is there to who may not read it, even with its id and input', async () => {
    const { post, pgflow } = setUp({ authorize: (_, { action }) => action === 'start' });
    pgflow.add(RUN_ID, { input: 1 });
    const guessed = await post('/flows/process_order/runs', { input: 1, runId: RUN_ID });
    const wrong = await post('/flows/process_order/runs', { input: 2, runId: RUN_ID });
    expect(guessed.status).toBe(409);
    expect(guessed.body).toEqual(wrong.body);
  });

  it('answers 403 to who may not', async () => {
    const { post, pgflow } = setUp({ authorize: () => false });
    const { status, body } = await post('/flows/process_order/runs', { input: 1, runId: RUN_ID });
    expect([status, body.error.code]).toEqual([403, 'UNAUTHORIZED']);
    expect(await pgflow.getRun(RUN_ID)).toBeNull();
  });

  it.each(['__proto__', 'constructor', "x'; drop table runs; --", '%00', '..%2f..'])(
    'takes the slug %s for no more than a slug',
    async (slug) => {
      const { post } = setUp();
      const { status, body } = await post(
        `/flows/${encodeURIComponent(slug)}/runs`,
        '{"input":{"__proto__":{"x":1}}}',
      );
      expect([status, body.error.code]).toEqual([404, 'FLOW_NOT_FOUND']);
      expect(({} as { x?: number }).x).toBeUndefined();
    },
  );

  it.each([
    ['{"input":', 'INVALID_INPUT'],
    ['[1]', 'INVALID_INPUT'],
    ['null', 'INVALID_INPUT'],
    ['"text"', 'INVALID_INPUT'],
    ['{"runId":"nope"}', 'INVALID_RUN_ID'],
    ['{"runId":5}', 'INVALID_RUN_ID'],
    ['{"runId":{}}', 'INVALID_RUN_ID'],
  ])('answers 400 to the body %s', async (text, code) => {
    const { post, pgflow } = setUp();
    const { status, body } = await post('/flows/process_order/runs', text);
    expect([status, body.error.code]).toEqual([400, code]);
    expect((await pgflow.listRuns({})).runs).toEqual([]);
  });

  it('answers 400 to bytes that are not UTF-8', async () => {
    const { send } = setUp();
    const { status } = await send('/flows/process_order/runs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Uint8Array([0x22, 0xff, 0xfe, 0x22]),
    });
    expect(status).toBe(400);
  });
});

describe('a large body', () => {
  const MAX = 1_000;

  it('is refused with 413 as its bytes pass the limit, whatever content-length says', async () => {
    const { handler } = setUp({ maxBodyBytes: MAX });
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new TextEncoder().encode(' '.repeat(100)));
      },
    });
    const request = new Request(`${BASE}/flows/process_order/runs`, {
      method: 'POST',
      body: endless,
      duplex: 'half',
      headers: { 'content-type': 'application/json', 'content-length': '2' },
    } as RequestInit);
    const response = await handler(request);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      error: { code: 'LIMIT_EXCEEDED', data: { maxBodyBytes: MAX } },
    });
    expect(pulled).toBeLessThan(20);
  });

  it('is accepted at the limit, counted in bytes', async () => {
    const { post } = setUp({ maxBodyBytes: MAX });
    const bodyOf = (bytes: number) => `{"input":"${'é'.repeat((bytes - 12) / 2)}"}`;
    expect((await post('/flows/process_order/runs', bodyOf(MAX))).status).toBe(201);
    expect((await post('/flows/process_order/runs', bodyOf(MAX + 2))).status).toBe(413);
  });

  it('may have 1 MiB by default', async () => {
    const { post } = setUp();
    const bodyOf = (bytes: number) => `{"input":"${'x'.repeat(bytes - 12)}"}`;
    expect((await post('/flows/process_order/runs', bodyOf(1_048_576))).status).toBe(201);
    expect((await post('/flows/process_order/runs', bodyOf(1_048_577))).status).toBe(413);
  });
});

describe('requests of other sites', () => {
  const paths = ['/flows/process_order/runs', `/runs/${RUN_ID}/cancel`, `/runs/${RUN_ID}/retry`];
  const attempt = async (path: string, headers: Record<string, string>, options = {}) => {
    const { post, pgflow } = setUp(options);
    pgflow.add(RUN_ID);
    return (await post(path, {}, headers)).status;
  };

  it.each(paths)('are refused by %s', async (path) => {
    expect(await attempt(path, { 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await attempt(path, { 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await attempt(path, { origin: 'https://evil.test' })).toBe(403);
    expect(await attempt(path, { origin: 'null' })).toBe(403);
    expect(await attempt(path, { origin: 'http://app.test', 'sec-fetch-site': 'cross-site' })).toBe(403);
  });

  it.each(paths)('are told from our own by %s', async (path) => {
    const ok = expect.toSatisfy((status: number) => status < 300);
    expect(await attempt(path, {})).toEqual(ok);
    expect(await attempt(path, { 'sec-fetch-site': 'same-origin' })).toEqual(ok);
    expect(await attempt(path, { 'sec-fetch-site': 'none' })).toEqual(ok);
    expect(await attempt(path, { origin: 'http://app.test' })).toEqual(ok);
  });

  it('are let in from the origins that were listed', async () => {
    const options = { allowedOrigins: ['https://shop.test'] };
    const from = (origin: string) => ({ origin, 'sec-fetch-site': 'cross-site' });
    expect(await attempt(paths[0]!, from('https://shop.test'), options)).toBe(201);
    expect(await attempt(paths[0]!, from('https://shop.test.evil.test'), options)).toBe(403);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', ''])(
    'cannot be forms: content type %j is refused',
    async (type) => {
      expect(await attempt(paths[0]!, { 'content-type': type })).toBe(415);
    },
  );
});

describe('read', () => {
  it('gives the run', async () => {
    const { send, pgflow, authorize } = setUp();
    const run = pgflow.add(RUN_ID);
    const { status, body, response } = await send(`/runs/${RUN_ID.toUpperCase()}`);
    expect(status).toBe(200);
    expect(decodeRun(body.run)).toEqual(run);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(authorize).toHaveBeenCalledExactlyOnceWith(expect.any(Request), {
      action: 'read',
      runId: RUN_ID,
      flowSlug: 'process_order',
    });
  });

  it.each([
    ['GET', '', 'read'],
    ['GET', '/events', 'watch'],
    ['POST', '/cancel', 'cancel'],
    ['POST', '/retry', 'retry'],
  ])(
    "answers %s %s of somebody else's run exactly as that of a missing one",
    async (method, path, action) => {
      const denials: Authorize[] = [
        () => false,
        () => null,
        () => {
          throw new Error('secret reason');
        },
        async () => new Response('no', { status: 401 }),
        (() => 'user-1') as never,
        (() => 1) as never,
      ];
      const init =
        method === 'POST' ? { method, body: '{}', headers: { 'content-type': 'application/json' } } : {};
      const seen = async (authorize: Authorize, exists: boolean) => {
        const { handler, pgflow } = setUp({ authorize });
        if (exists) pgflow.add(RUN_ID);
        const response = await handler(new Request(`${BASE}/runs/${RUN_ID}${path}`, init));
        expect(pgflow.open).toBe(0);
        return { status: response.status, headers: [...response.headers], body: await response.text() };
      };
      const missing = await seen(() => true, false);
      expect(missing.status).toBe(404);
      expect(JSON.parse(missing.body).error.code).toBe('RUN_NOT_FOUND');
      for (const authorize of denials) expect(await seen(authorize, true)).toEqual(missing);
      expect((await seen((_, access) => access.action === action, false)).status).toBe(404);
    },
  );

  it('takes a principal for a yes', async () => {
    const { send, pgflow } = setUp({ authorize: async () => ({ user: 'anna' }) });
    pgflow.add(RUN_ID);
    expect((await send(`/runs/${RUN_ID}`)).status).toBe(200);
  });

  it.each(['nope', '__proto__', '1', "'--", RUN_ID.slice(1)])('answers 400 to the id %s', async (runId) => {
    const { send } = setUp();
    const { status, body } = await send(`/runs/${encodeURIComponent(runId)}`);
    expect([status, body.error.code]).toEqual([400, 'INVALID_RUN_ID']);
  });
});

describe('list', () => {
  it('passes on what was asked for', async () => {
    const { send, pgflow, authorize } = setUp();
    pgflow.add(RUN_ID);
    const { status, body } = await send(
      '/runs?flow=process_order&status=failed&tag=order%3A123&limit=500&cursor=abc',
    );
    expect(status).toBe(200);
    expect(body.cursor).toBe('next');
    expect(body.runs.map((run: unknown) => decodeRun(run)?.runId)).toEqual([RUN_ID]);
    expect(pgflow.queries).toEqual([
      { flow: 'process_order', status: 'failed', tag: 'order:123', limit: 500, cursor: 'abc' },
    ]);
    expect(authorize.mock.calls[0]![1]).toEqual({ action: 'list', flowSlug: 'process_order' });
  });

  it.each([
    'limit=0',
    'limit=501',
    'limit=-1',
    'limit=1e2',
    'limit=',
    'limit=x',
    'status=done',
    'status=__proto__',
    'tag=',
    'tag=%00',
    `tag=${'x'.repeat(129)}`,
  ])('answers 400 to %s', async (query) => {
    const { send, pgflow } = setUp();
    const { status, body } = await send(`/runs?${query}`);
    expect([status, body.error.code]).toEqual([400, 'INVALID_INPUT']);
    expect(pgflow.queries).toEqual([]);
  });

  it('answers 403 to who may not', async () => {
    const { send } = setUp({ authorize: () => false });
    expect((await send('/runs')).status).toBe(403);
  });
});

describe('logs', () => {
  it('gives what was logged, and passes on what was asked for', async () => {
    const { send, pgflow, authorize } = setUp();
    pgflow.add(RUN_ID);
    const { status, body } = await send(`/runs/${RUN_ID}/logs?step=charge&attempt=2&limit=10&after=7`);
    expect([status, body]).toEqual([
      200,
      {
        logs: [
          {
            logId: 1,
            at: '1970-01-01T00:00:00.000Z',
            stepSlug: 'charge',
            message: 'asked the bank',
            fields: {},
          },
        ],
      },
    ]);
    expect(pgflow.logQueries).toEqual([[RUN_ID, { step: 'charge', attempt: 2, limit: 10, after: 7 }]]);
    expect(authorize.mock.calls.map(([, { action }]) => action)).toEqual(['read']);
  });

  it('of a run that one may not read are those of a run that does not exist', async () => {
    const { send, pgflow } = setUp({ authorize: () => false });
    pgflow.add(RUN_ID);
    const hidden = await send(`/runs/${RUN_ID}/logs`);
    const missing = await send(`/runs/${OTHER_ID}/logs`);
    expect([hidden.status, missing.status]).toEqual([404, 404]);
    expect(hidden.body.error.code).toBe(missing.body.error.code);
    expect(pgflow.logQueries).toEqual([]);
  });

  it.each(['limit=x', 'attempt=-1', 'after=1.5'])('are refused for %s', async (query) => {
    const { send, pgflow } = setUp();
    pgflow.add(RUN_ID);
    const { status, body } = await send(`/runs/${RUN_ID}/logs?${query}`);
    expect([status, body.error.code]).toEqual([400, 'INVALID_INPUT']);
  });
});

describe('cancel and retry', () => {
  it('cancel with a reason', async () => {
    const { post, pgflow } = setUp();
    const run = pgflow.add(RUN_ID);
    const cancel = vi.spyOn(pgflow, 'cancelRun');
    const { status, body } = await post(`/runs/${RUN_ID}/cancel`, { reason: 'changed my mind' });
    expect([status, body.cancelled, decodeRun(body.run)]).toEqual([200, true, run]);
    expect(cancel).toHaveBeenCalledExactlyOnceWith(RUN_ID, { reason: 'changed my mind' });
  });

  it('cancel without a body', async () => {
    const { post, pgflow } = setUp();
    pgflow.add(RUN_ID);
    expect((await post(`/runs/${RUN_ID}/cancel`, '')).status).toBe(200);
    expect((await post(`/runs/${RUN_ID}/cancel`, { reason: 5 })).status).toBe(400);
  });

  it('retry gives the new run', async () => {
    const { post, pgflow } = setUp();
    pgflow.add(RUN_ID);
    const { status, body } = await post(`/runs/${RUN_ID}/retry`, {});
    expect(status).toBe(201);
    expect(decodeRun(body.run)?.runId).not.toBe(RUN_ID);
  });

  it('have no routes where pgflow has no such methods', async () => {
    const pgflow = new ScriptedPgFlow();
    const { startOrGet, getRun, listRuns, track } = pgflow;
    const { post } = setUp({ pgflow: { startOrGet, getRun, listRuns, track } });
    const { status, body } = await post(`/runs/${OTHER_ID}/cancel`, {});
    expect([status, body.error.code]).toEqual([404, 'INVALID_REQUEST']);
  });
});

describe('other paths and methods', () => {
  it.each(['', '/', '/nothing', '/flows/process_order', `/runs/${RUN_ID}/events/x`])(
    'answers 404 in JSON to %j',
    async (path) => {
      const { status, body, response } = await setUp().send(path);
      expect([status, body.error.code]).toEqual([404, 'INVALID_REQUEST']);
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    },
  );

  it.each([
    ['DELETE', `/runs/${RUN_ID}`, 'GET'],
    ['POST', '/runs', 'GET'],
    ['PUT', '/flows/process_order/runs', 'POST'],
    ['GET', '/flows/process_order/runs', 'POST'],
    ['GET', `/runs/${RUN_ID}/cancel`, 'POST'],
    ['OPTIONS', `/runs/${RUN_ID}/events`, 'GET'],
  ])('answers 405 to %s %s', async (method, path, allowed) => {
    const { status, response } = await setUp().send(path, { method });
    expect([status, response.headers.get('allow')]).toEqual([405, allowed]);
  });

  it('does not open a stream for HEAD', async () => {
    const { handler, pgflow } = setUp();
    pgflow.add(RUN_ID);
    const head = (path: string) => handler(new Request(BASE + path, { method: 'HEAD' }));
    expect((await head(`/runs/${RUN_ID}/events`)).status).toBe(405);
    expect((await head(`/runs/${RUN_ID}`)).status).toBe(200);
    expect(pgflow.open).toBe(0);
  });
});

describe('errors', () => {
  it('an onError that throws changes no answer', async () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { send, pgflow } = setUp({
      onError: () => {
        throw new Error('mine');
      },
    });
    pgflow.getRun = () => Promise.reject(new Error('ours'));
    const { status, body } = await send(`/runs/${RUN_ID}`);
    expect([status, body.error.code]).toEqual([500, 'INTERNAL']);
    expect(reported).toHaveBeenCalledOnce();
    reported.mockRestore();
  });

  it.each<[PgFlowErrorCode, number]>([
    ['INVALID_INPUT', 400],
    ['NOT_STORABLE', 400],
    ['LIMIT_EXCEEDED', 413],
  ])('%s is %i, with its message and data', async (code, expected) => {
    const { post, pgflow, onError } = setUp();
    const data = { issues: [{ path: 'a', message: 'is missing' }] };
    pgflow.failure = new PgFlowError(code, 'what and where', { data });
    const { status, body } = await post('/flows/process_order/runs', {});
    expect(status).toBe(expected);
    expect(body).toEqual({ error: { code, message: 'what and where', data } });
    expect(onError).not.toHaveBeenCalled();
  });

  it.each<[unknown, number, string]>([
    [new PgFlowError('DATABASE_UNAVAILABLE', 'secret: db-7:5432 is down'), 503, 'DATABASE_UNAVAILABLE'],
    [new PgFlowError('CLOSED', 'secret'), 503, 'CLOSED'],
    [new PgFlowError('SCHEMA_OUTDATED', 'secret', { data: { secret: 1 } }), 500, 'INTERNAL'],
    [new Error('secret: password=hunter2'), 500, 'INTERNAL'],
    ['secret', 500, 'INTERNAL'],
    [undefined, 500, 'INTERNAL'],
  ])('%s stays inside', async (failure, expected, code) => {
    const { send, pgflow, onError } = setUp();
    pgflow.getRun = () => Promise.reject(failure);
    const { status, body } = await send(`/runs/${RUN_ID}`);
    expect([status, body.error.code]).toEqual([expected, code]);
    expect(JSON.stringify(body)).not.toContain('secret');
    expect(onError).toHaveBeenCalledExactlyOnceWith(failure);
  });
});
