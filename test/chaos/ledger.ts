/** What the processes of a storm told: acknowledged starts, executions, and what must not have been. */
export class Ledger {
  readonly wrong: string[] = [];
  /** Acknowledged starts of this round. */
  readonly started = new Set<string>();
  executions = 0;
  /** Executions of a task whose attempt before was cut off, not ended by its handler. */
  repeated = 0;
  /** Told of a run that was started by a web process. */
  onStarted: (runId: string, web: number) => void = () => {};
  /** By task: its last attempt that was begun. */
  readonly #begun = new Set<string>();

  take(_kind: string, index: number, message: any): void {
    if (message.type === 'started') {
      this.started.add(message.runId);
      this.onStarted(message.runId, index);
    } else if (message.type === 'begun') {
      this.executions += 1;
      if (this.#begun.has(message.task)) this.repeated += 1;
      this.#begun.add(message.task);
    } else if (message.type === 'threw') {
      this.#begun.delete(message.task);
    }
  }

  /** The round is over. */
  clear(): void {
    this.started.clear();
    this.#begun.clear();
  }
}
