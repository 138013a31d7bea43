/** A client library that follows runs of ten steps, with the transport taken out: messages come as JSON texts. */
export interface FollowingClient {
  /** Prepares what tells the whole life of these runs, parsed; the function applies it and says how many that were. */
  prepare(runIds: readonly string[]): () => number;
  /** Follows these runs from their start, each with one watcher. */
  follow(runIds: readonly string[]): Promise<Followed>;
  /** What tells of a run after seq `since`, up to `seq`. */
  messages(runId: string, since: number, seq: number): readonly string[];
}

export interface Followed {
  hear(message: string): void;
  /** How often the watchers were told of something new. */
  told(): number;
  /** The status that each run is shown with. */
  statuses(): readonly string[];
}
