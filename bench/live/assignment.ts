/** What a measured process of the live bench is told to do. Its program gets it as one JSON argument. */
export interface LiveAssignment {
  /** Of the database. */
  readonly url: string;
  /** Of the Redis that spreads the changes, or that is the peer's store; null: PostgreSQL spreads them. */
  readonly redis: string | null;
  /** Samples, runs or watchers. */
  readonly count: number;
  /** Samples that are taken before and do not count. */
  readonly warmUp: number;
}

export function readLiveAssignment(): LiveAssignment {
  return JSON.parse(process.argv[2] ?? '') as LiveAssignment;
}
