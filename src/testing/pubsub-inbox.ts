/** What has arrived at one subscription, or was told to one watcher. */
export interface Inbox {
  readonly received: readonly unknown[];
  readonly fn: (message: unknown) => void;
  /** Resolves as soon as that holds of what was received, which is said in words too. */
  until(what: string, holds: (received: readonly unknown[]) => boolean): Promise<void>;
  /** Resolves when that message is there. */
  gets(message: unknown): Promise<void>;
}

export function createInbox(timeout: number): Inbox {
  const received: unknown[] = [];
  const waiting = new Set<() => void>();
  const until: Inbox['until'] = (what, holds) =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (holds(received)) end(resolve);
      };
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        settle();
      };
      const give = () => reject(new Error(`${what}: not within ${timeout} s. Received: ${shown(received)}`));
      const timer = setTimeout(() => end(give), timeout * 1000);
      waiting.add(look);
      look();
    });
  return {
    received,
    fn: (message) => {
      received.push(message);
      for (const look of [...waiting]) look();
    },
    until,
    gets(message) {
      const text = JSON.stringify(message);
      return until(`${text.slice(0, 200)} arrives`, (all) => all.some((one) => JSON.stringify(one) === text));
    },
  };
}

function shown(received: readonly unknown[]): string {
  return received.length === 0 ? 'nothing' : JSON.stringify(received).slice(0, 500);
}
