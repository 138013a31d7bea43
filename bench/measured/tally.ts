/** Counts the handlers that began, and lets others wait for a number of them. */
export interface Tally {
  readonly began: () => void;
  /** When the newest one began. */
  readonly newest: () => number;
  /** Resolves when that many more have begun, counted from this call. */
  more(count: number): Promise<void>;
}

export function createTally(): Tally {
  let count = 0;
  let newest = 0;
  let target = Number.POSITIVE_INFINITY;
  let reached = () => {};
  return {
    began() {
      count += 1;
      newest = performance.now();
      if (count >= target) reached();
    },
    newest: () => newest,
    more(wanted) {
      target = count + wanted;
      return new Promise((resolve) => {
        reached = resolve;
        if (wanted === 0) resolve();
      });
    },
  };
}
