import { PgFlowError } from '../errors.js';

export interface BatchOptions<Item, Result> {
  /**
   * So many items are worth a statement beside another; fewer wait until that ends, or takes long. Default 100: settles
   * of chains are 1.2 times as fast as with 1, and those of DAGs 1.1 times as fast as with one lane.
   */
  readonly enough?: number;
  /** How many items one statement takes at most. Default 500. */
  readonly most?: number;
  /** Executes the items in one statement, all or none; answers in their order. */
  run(items: readonly Item[]): Promise<readonly Result[]>;
  /** Items with the same key never share a statement. */
  keyOf?(item: Item): unknown;
  /** Statements with items of the same group wait for each other in the database: as long as there are others, such do not go. */
  groupOf?(item: Item): unknown;
}

interface Entry<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

interface Statement {
  readonly groups: ReadonlySet<unknown>;
  /** Whether what waits waits for it no longer: it may itself wait for somebody's lock. */
  isSlow: boolean;
}

/** Three are no faster. */
const MOST_UNDER_WAY = 2;
/** Milliseconds. */
const LONG = 50;

/**
 * Gathers what is asked for while statements are under way, and executes it together: the first at once, the rest when
 * those end, or beside them when it is much, since half of what a statement costs is the same for one item and for
 * twenty. If a statement fails for what is in it, its halves are tried apart, so that only the item to blame fails.
 *
 * @returns the function that adds an item; it settles with the item's own result.
 */
export function createBatch<Item, Result>(
  options: BatchOptions<Item, Result>,
): (item: Item) => Promise<Result> {
  const { enough = 100, groupOf } = options;
  const waiting: Entry<Item, Result>[] = [];
  const underWay = new Set<Statement>();
  let scheduled = false;

  function schedule(): void {
    if (scheduled || !mayGo()) return;
    scheduled = true;
    // What is asked for in the same tick goes together.
    process.nextTick(() => {
      scheduled = false;
      if (!mayGo()) return;
      const entries = next();
      const groups = new Set(groupOf && entries.map(({ item }) => groupOf(item)));
      const statement: Statement = { groups, isSlow: false };
      underWay.add(statement);
      const timer = setTimeout(() => {
        statement.isSlow = true;
        schedule();
      }, LONG);
      void execute(entries, options.run).finally(() => {
        clearTimeout(timer);
        underWay.delete(statement);
        schedule();
      });
      schedule();
    });
  }

  function mayGo(): boolean {
    if (waiting.length === 0 || underWay.size === MOST_UNDER_WAY) return false;
    return waiting.length >= enough || [...underWay].every(({ isSlow }) => isSlow);
  }

  function next(): Entry<Item, Result>[] {
    if (!groupOf || underWay.size === 0) return take(waiting, options, () => true);
    const isFree = (item: Item) => {
      const group = groupOf(item);
      for (const { groups } of underWay) if (groups.has(group)) return false;
      return true;
    };
    const free = take(waiting, options, isFree);
    return free.length > 0 ? free : take(waiting, options, () => true);
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      schedule();
    });
}

/** The first that may go together; they wait no longer. */
function take<Item, Result>(
  waiting: Entry<Item, Result>[],
  { most = 500, keyOf }: BatchOptions<Item, Result>,
  mayGo: (item: Item) => boolean,
): Entry<Item, Result>[] {
  const keys = new Set<unknown>();
  const taken: Entry<Item, Result>[] = [];
  const left: Entry<Item, Result>[] = [];
  let seen = 0;
  // Not through all that waits, which may be much more.
  for (; seen < waiting.length && taken.length < most; seen += 1) {
    const entry = waiting[seen]!;
    const key = keyOf ? keyOf(entry.item) : entry;
    (keys.has(key) || !mayGo(entry.item) ? left : taken).push(entry);
    keys.add(key);
  }
  waiting.splice(0, seen, ...left);
  return taken;
}

async function execute<Item, Result>(
  entries: readonly Entry<Item, Result>[],
  run: BatchOptions<Item, Result>['run'],
): Promise<void> {
  try {
    const results = await run(entries.map((entry) => entry.item));
    entries.forEach((entry, i) => {
      entry.resolve(results[i] as Result);
    });
  } catch (error) {
    const unreachable = error instanceof PgFlowError && error.code === 'DATABASE_UNAVAILABLE';
    if (entries.length === 1 || unreachable) {
      for (const entry of entries) entry.reject(error);
      return;
    }
    const half = Math.ceil(entries.length / 2);
    await execute(entries.slice(0, half), run);
    await execute(entries.slice(half), run);
  }
}
