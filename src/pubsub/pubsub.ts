/**
 * Spreads small messages to whoever subscribed to their topic, in this process or others.
 *
 * The contract: at most once, in no promised order. A message may be lost, doubled, delayed or
 * overtaken; whoever listens must survive that (a change carries its `seq`, a gap is read from
 * the database). Adapters only carry: they know nothing of runs. `pubsubConformance` of `pgflow-live/testing`
 * checks an adapter against all that stands here.
 */
export interface PubSub {
  /** `hint`: changes are never to travel whole, only which run moved. Default `inline`. */
  readonly payload?: 'inline' | 'hint';
  /**
   * Sends JSON to all subscribers of the topic. Resolves when it was handed over, rejects when it surely was not,
   * with `LIMIT_EXCEEDED` when it is larger than the bus can carry.
   */
  publish(topic: string, message: unknown): Promise<void>;
  /**
   * Calls `fn` for each message on the topic until `stop` is called. Resolves once messages
   * published from now on will arrive; a bus that is away may resolve too, if its watchers have been told and
   * the subscription comes with it when it is back. What `fn` throws stays with `fn`.
   */
  subscribe(topic: string, fn: (message: unknown) => void): Promise<() => void>;
  /**
   * Calls `fn` with false when messages may be getting lost, with true when they flow again and all subscriptions are
   * back. Who asks while they get lost is told so at once.
   */
  onConnection?(fn: (connected: boolean) => void): () => void;
  /** Ends the connections that this adapter opened; whatever else is asked of it then rejects with `CLOSED`. Idempotent. */
  close(): Promise<void>;
}

/** The topics of one installation; the schema is in the name, so installations that share a bus stay apart. */
export interface Topics {
  /** Changes and hints of one run. */
  run(runId: string): string;
  /** `{ runId, status }` when a run has failed or was cancelled: its handlers are to abort. */
  readonly runs: string;
  /** Tasks became ready: `{}`. */
  readonly wake: string;
}

export function topicsOf(schema: string): Topics {
  return { run: (runId) => `${schema}:run:${runId}`, runs: `${schema}:runs`, wake: `${schema}:wake` };
}
