import { createHash } from 'node:crypto';
import { isTerminalRun, isTerminalStep, type Run, type StepStatus } from '../../src/run/run.js';

/** What the watchers of one process saw: each state once, and all that none of them may ever see. */
export class Sightings {
  readonly problems: string[] = [];
  /** By run, by seq: the digest of the state that was shown. */
  readonly #seen = new Map<string, Map<number, string>>();

  /** A watcher that showed `before` shows `run` now. */
  add(watcher: string, runId: string, before: Run | null, run: Run): void {
    const name = `${watcher} of run ${runId}`;
    if (run.runId !== runId) this.problems.push(`X1: ${name} shows run ${run.runId}`);
    if (before !== null && before !== run)
      this.problems.push(...backward(before, run).map((text) => `C2: ${name}: ${text}`));
    const digests = this.#seen.get(runId) ?? new Map<number, string>();
    this.#seen.set(runId, digests);
    const digest = digestOf(run);
    const known = digests.get(run.seq) ?? digest;
    if (known !== digest)
      this.problems.push(`C3: ${name} shows another state at seq ${run.seq} than others do`);
    digests.set(run.seq, digest);
  }

  /** `[runId, seq, digest]` of each state. */
  list(): [string, number, string][] {
    return [...this.#seen].flatMap(([runId, digests]) =>
      [...digests].map(([seq, digest]): [string, number, string] => [runId, seq, digest]),
    );
  }

  clear(): void {
    this.problems.length = 0;
    this.#seen.clear();
  }
}

const RANK = (status: StepStatus): number => (isTerminalStep(status) ? 2 : status === 'started' ? 1 : 0);

/** What went back from one state to the next. */
function backward(before: Run, after: Run): string[] {
  const wrong: string[] = [];
  if (after.seq <= before.seq) wrong.push(`seq went from ${before.seq} to ${after.seq}`);
  if (isTerminalRun(before.status) && after.status !== before.status) {
    wrong.push(`the run went from ${before.status} to ${after.status}`);
  }
  for (const [i, step] of before.stepStates.entries()) {
    const now = after.stepStates[i]?.status;
    const isBack = now === undefined || RANK(now) < RANK(step.status);
    if (isBack || (isTerminalStep(step.status) && now !== step.status)) {
      wrong.push(`step ${step.stepSlug} went from ${step.status} to ${now} at seq ${after.seq}`);
    }
  }
  return wrong;
}

const digests = new WeakMap<Run, string>();

/** The same for runs that are equal, whatever the order of their keys. */
export function digestOf(run: Run): string {
  const known = digests.get(run);
  if (known !== undefined) return known;
  const digest = createHash('sha1').update(JSON.stringify(run, inOrder)).digest('base64').slice(0, 12);
  digests.set(run, digest);
  return digest;
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
