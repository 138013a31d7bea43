/**
 * What a measured process is told to do. Its program gets it as one JSON argument, so that we and the peers run
 * under the same conditions: a process of one's own, the same Node.js, the same procedure.
 */
export interface Assignment {
  readonly work: Work;
  /** Of the database to use: `postgres://…`, `redis://…`, or `pglite`. */
  readonly url: string;
  /** How many runs, jobs, samples; of `map`: how many tasks one run has. */
  readonly count: number;
  /** How many of them are done before, unmeasured, so that code is compiled and connections are open. */
  readonly warmUp: number;
  /** `ANALYZE` between the warm-up (of `bulk`: the enqueuing) and what is measured. */
  readonly analyse: boolean;
  /** Another configuration of the same program, e.g. graphile-worker's `local-queue`. */
  readonly variant?: string;
}

/**
 * - `linear`: runs of three steps, one after the other; started by 20 callers, driven meanwhile.
 * - `dag`: the same with five steps, 1 → 3 → 1.
 * - `bulk`: single jobs, all enqueued by the bulk API, then processed.
 * - `one-by-one`: single jobs, enqueued one by one by 20 callers, processed meanwhile.
 * - `enqueue`: the same without a worker.
 * - `map`: one run whose only step is a map.
 * - `idle`: one job at a time on an idle system.
 * - `drain`: runs and jobs started before, drained by worker processes of their own.
 */
export type Work = 'linear' | 'dag' | 'bulk' | 'one-by-one' | 'enqueue' | 'map' | 'idle' | 'drain';

/** What a measured process answers: items per second, and milliseconds of single samples. */
export interface Figures {
  /** From the first call until the last item has completed; its name is the work's. */
  readonly rates?: Readonly<Record<string, number>>;
  readonly samples?: Readonly<Record<string, readonly number[]>>;
  /** What was counted beside, such as deadlocks. */
  readonly counts?: Readonly<Record<string, number>>;
}

const MARK = 'figures: ';

export function readAssignment(): Assignment {
  return JSON.parse(process.argv[2] ?? '') as Assignment;
}

/** Peers log to stdout too, so the answer's line is marked. */
export function printFigures(figures: Figures): void {
  console.log(`${MARK}${JSON.stringify(figures)}`);
}

/** Null in a line that is something else. */
export function parseFigures(line: string): Figures | null {
  return line.startsWith(MARK) ? (JSON.parse(line.slice(MARK.length)) as Figures) : null;
}
