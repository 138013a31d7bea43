import type { PgFlowError } from '../errors.js';
import { applyChange } from '../run/apply-change.js';
import type { Run } from '../run/run.js';
import type { RunFilter, RunList, RunPage } from '../run/run-list.js';
import { PacedRead } from './paced-read.js';
import type { PageReader } from './page-reader.js';
import { nobodyWatchesList } from './run-errors.js';
import type { RunReader } from './run-reader.js';
import { after } from './timer.js';

/** What a tracked list needs of those who keep all lists. */
export interface TrackedListPorts {
  readonly pages: PageReader;
  readonly runs: RunReader;
  /** Milliseconds that the list is kept after its last handle was closed. */
  readonly lingerMs: number;
  /** Resolves when the bus is subscribed to, or does not answer. */
  subscribed(): Promise<void>;
  isConnected(): boolean;
  /** Whether the database answers. */
  onAnswer(answers: boolean): void;
  onEnded(list: TrackedList): void;
}

/** One who watches a list. None of these may throw. */
export interface ListWatcher {
  /** There is another list. */
  changed(): void;
  /** `connected` or `ended` is another now. */
  freshened(): void;
}

const EMPTY: RunList = Object.freeze({ runs: Object.freeze([]), cursor: null });

/**
 * One list of a process, shared by all who watch it: read at first, and again after word that something changed.
 *
 * Modes: `loading → live → ended`; `loading → ended`.
 */
export class TrackedList {
  readonly filter: RunFilter;
  /** Resolves when there is a list to show. */
  readonly loaded: Promise<void>;
  #mode: 'loading' | 'live' | 'ended' = 'loading';
  readonly #ports: TrackedListPorts;
  readonly #pace = new PacedRead(() => this.#read());
  readonly #watchers = new Set<ListWatcher>();
  #list = EMPTY;
  #hasAsked = false;
  #connected = false;
  #error: PgFlowError | null = null;
  #holders = 0;
  #stopLinger: () => void = () => {};
  #onLoaded!: () => void;
  #failLoading!: (error: unknown) => void;

  constructor(filter: RunFilter, ports: TrackedListPorts) {
    this.filter = filter;
    this.#ports = ports;
    this.loaded = new Promise((resolve, reject) => {
      this.#onLoaded = resolve;
      this.#failLoading = reject;
    });
    this.loaded.catch(() => {});
    void ports.subscribed().then(() => {
      this.#hasAsked = true;
      this.#pace.ask();
    });
  }

  get list(): RunList {
    return this.#list;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get ended(): PgFlowError | null {
    return this.#error;
  }

  watch(watcher: ListWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  hold(): void {
    this.#holders++;
    this.#stopLinger();
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0 || this.#mode === 'ended') return;
    this.#stopLinger = after(this.#ports.lingerMs, () => this.end(nobodyWatchesList()));
  }

  /** Runs were started, changed or deleted somewhere. */
  hear(): void {
    if (this.#hasAsked) this.#pace.ask();
  }

  refreshFreshness(): void {
    const connected = this.#mode === 'live' && this.#ports.isConnected();
    if (connected === this.#connected) return;
    this.#connected = connected;
    for (const watcher of [...this.#watchers]) watcher.freshened();
  }

  /** No more news, for this reason. */
  end(error: PgFlowError): void {
    if (this.#mode !== 'ended') this.#enter('ended', error);
  }

  async #read(): Promise<void> {
    try {
      const page = await this.#ports.pages.read(this.filter);
      const runs = await this.#readRuns(page);
      this.#ports.onAnswer(true);
      this.#show(runs, page.cursor);
    } catch (error) {
      this.#ports.onAnswer(false);
      if (this.#mode === 'loading') this.end(error as PgFlowError);
      throw error;
    }
  }

  /** Of what is shown already, only what is new is read. */
  async #readRuns({ runs }: RunPage): Promise<Run[]> {
    const shown = new Map(this.#list.runs.map((run) => [run.runId, run]));
    const read = runs.map(({ runId, seq }) => this.#readRun(shown.get(runId), runId, seq));
    const { status } = this.filter;
    // One that was deleted since the page was read is gone; one that moved on may not match any more.
    return (await Promise.all(read)).filter(
      (run): run is Run => run !== null && (status === undefined || run.status === status),
    );
  }

  async #readRun(shown: Run | undefined, runId: string, seq: number): Promise<Run | null> {
    if (shown?.seq === seq) return shown;
    // A seq that fell is another history, as after a failover: it is read whole.
    const known = shown !== undefined && shown.seq < seq ? shown : null;
    const change = await this.#ports.runs.read({ runId, since: known?.seq ?? 0 });
    if (change === null) return null;
    const applied = applyChange(known, change);
    if (applied.kind !== 'gap') return applied.run;
    const whole = known && (await this.#ports.runs.read({ runId, since: 0 }));
    return whole && applyChange(null, whole).run;
  }

  #show(runs: Run[], cursor: string | null): void {
    if (this.#mode === 'ended') return;
    const before = this.#list;
    const isSame =
      cursor === before.cursor &&
      runs.length === before.runs.length &&
      runs.every((run, i) => run === before.runs[i]);
    if (!isSame) this.#list = Object.freeze({ runs: Object.freeze(runs), cursor });
    if (this.#mode === 'loading') this.#enter('live');
    else if (!isSame) for (const watcher of [...this.#watchers]) watcher.changed();
  }

  #enter(mode: 'live'): void;
  #enter(mode: 'ended', error: PgFlowError): void;
  #enter(mode: 'live' | 'ended', error: PgFlowError | null = null): void {
    this.#mode = mode;
    if (error === null) {
      this.refreshFreshness();
      this.#onLoaded();
    } else this.#release(error);
  }

  #release(error: PgFlowError): void {
    this.#error = error;
    this.#connected = false;
    this.#stopLinger();
    this.#pace.close();
    this.#failLoading(error);
    for (const watcher of [...this.#watchers]) watcher.freshened();
    this.#watchers.clear();
    this.#ports.onEnded(this);
  }
}
