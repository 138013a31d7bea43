import { PgFlowError } from '../errors.js';
import type { Database } from './database.js';
import { withDeadline } from './deadline.js';
import { checkSchema } from './migrate.js';

/** Whether a process can do its work. */
export interface Health {
  /** What a readiness probe asks: the database takes writes, its schema fits, and the worker does not end. */
  readonly ok: boolean;
  /** `unavailable`: it does not answer within 3 s, or takes no writes. */
  readonly database: 'ok' | 'unavailable';
  /** As it was seen last, while the database is away. */
  readonly schema: 'ok' | 'outdated';
  /** `none`: `start()` was not called, or this process only starts and watches. */
  readonly worker: 'running' | 'draining' | 'stopped' | 'none';
  /**
   * False while messages of other processes do not arrive: the connection is lost, or nothing comes through
   * it (a transaction pooler). Everything goes on, seconds later. True as long as nothing was to be listened for.
   */
  readonly listening: boolean;
  /** What is wrong, a sentence each, for people. Empty when nothing is. */
  readonly problems: readonly string[];
}

/** What the process knows without asking. */
export interface ProcessState {
  readonly isStopped: boolean;
  readonly worker:
    | { readonly mode: Exclude<Health['worker'], 'none'> | 'idle' | 'starting'; readonly hasLease: boolean }
    | undefined;
  readonly listening: boolean;
}

interface DatabaseState {
  readonly database: Health['database'];
  readonly schema: Health['schema'];
  readonly problem: string | null;
}

/** Seconds. */
const PATIENCE = 3;
/** Seconds after which an unanswered question is given up, and the next probe asks anew. */
const GIVE_UP = 30;

/** Answers probes. While the database owes an answer it is not asked again, so that probes do not pile up on it. */
export class HealthCheck {
  readonly #database: Database;
  readonly #schemaName: string;
  readonly #patience: number;
  #asked: Promise<DatabaseState> | undefined;
  #schema: Health['schema'] = 'ok';

  constructor(database: Database, schema: string, patience = PATIENCE) {
    this.#database = database;
    this.#schemaName = schema;
    this.#patience = patience;
  }

  /** Never rejects. */
  async read({ isStopped, worker, listening }: ProcessState): Promise<Health> {
    const state = isStopped ? this.#unavailable('This pgflow is stopped.') : await this.#readDatabase();
    const mode = isStopped ? 'stopped' : modeOf(worker);
    const problems = state.problem === null ? [] : [state.problem];
    if (mode === 'draining') problems.push('The worker is draining: it claims nothing more.');
    if (mode === 'running' && !worker?.hasLease) {
      problems.push(
        'The worker could not renew its lease: it is not registered, or the database refuses its heartbeat.',
      );
    }
    if (!listening && !isStopped) {
      problems.push(
        'Messages of other processes do not arrive (a lost connection, or a transaction pooler): changes show seconds later.',
      );
    }
    const ok = state.database === 'ok' && state.schema === 'ok' && (mode === 'running' || mode === 'none');
    return { ok, database: state.database, schema: state.schema, worker: mode, listening, problems };
  }

  async #readDatabase(): Promise<DatabaseState> {
    this.#asked ??= withDeadline(GIVE_UP, this.#ask()).finally(() => {
      this.#asked = undefined;
    });
    try {
      return await withDeadline(this.#patience, this.#asked);
    } catch (error) {
      return this.#unavailable(messageOf(error, this.#database.location));
    }
  }

  async #ask(): Promise<DatabaseState> {
    const [row] = await this.#database.query<{ read_only: boolean }>(
      `select current_setting('transaction_read_only') = 'on' as read_only`,
    );
    if (row!.read_only) {
      return this.#unavailable(`The database at ${this.#database.location} is read-only.`);
    }
    try {
      await checkSchema(this.#database, this.#schemaName);
      this.#schema = 'ok';
      return { database: 'ok', schema: 'ok', problem: null };
    } catch (error) {
      if (!(error instanceof PgFlowError) || !error.code.startsWith('SCHEMA_')) throw error;
      this.#schema = 'outdated';
      return { database: 'ok', schema: 'outdated', problem: error.message };
    }
  }

  #unavailable(problem: string): DatabaseState {
    return { database: 'unavailable', schema: this.#schema, problem };
  }
}

function modeOf(worker: ProcessState['worker']): Health['worker'] {
  if (worker === undefined || worker.mode === 'idle' || worker.mode === 'starting') return 'none';
  return worker.mode;
}

function messageOf(error: unknown, location: string): string {
  if (error instanceof PgFlowError) return error.message;
  const said = error instanceof Error ? error.message : String(error);
  return `The database at ${location} does not answer as it should: ${said}.`;
}
