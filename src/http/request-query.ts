import { isRunStatus } from '../run/run.js';
import { whyNoTag } from '../run/tags.js';
import type { LogQuery, RunQuery } from './handler-options.js';
import { Refusal } from './refusal.js';

/** The seq that a reader has; 0 for anything but a plain whole number. */
export function readSince(request: Request): number {
  const text = request.headers.get('last-event-id') ?? new URL(request.url).searchParams.get('since') ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** What `GET /runs` was asked for. */
export function readQuery(params: URLSearchParams): RunQuery {
  const status = params.get('status') ?? undefined;
  if (status !== undefined && !isRunStatus(status)) {
    throw new Refusal(400, 'INVALID_INPUT', 'status has to be started, completed, failed or cancelled.');
  }
  const limit = params.get('limit') ?? undefined;
  if (limit !== undefined && !(/^\d{1,3}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= 500)) {
    throw new Refusal(400, 'INVALID_INPUT', 'limit has to be a whole number from 1 to 500.');
  }
  const tag = params.get('tag') ?? undefined;
  const whyNot = tag === undefined ? null : whyNoTag(tag);
  if (whyNot !== null) throw new Refusal(400, 'INVALID_INPUT', `tag ${whyNot}.`);
  return {
    flow: params.get('flow') ?? undefined,
    status,
    tag,
    limit: limit === undefined ? undefined : Number(limit),
    cursor: params.get('cursor') ?? undefined,
  };
}

/** What `GET /runs/:runId/logs` was asked for. */
export function readLogQuery(params: URLSearchParams): LogQuery {
  const read = (name: string) => {
    const text = params.get(name);
    if (text === null) return undefined;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new Refusal(400, 'INVALID_INPUT', `${name} has to be a whole number.`);
  };
  return {
    step: params.get('step') ?? undefined,
    attempt: read('attempt'),
    limit: read('limit'),
    after: read('after'),
  };
}
