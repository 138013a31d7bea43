import { cpus, totalmem } from 'node:os';
import { versionOfNode, versionOfPeer } from '../engine/peers.js';
import { commit, today } from '../engine/protocol.js';

export interface Setting {
  readonly quick: boolean;
  /** Of the machine before the bench began: what others do meanwhile. */
  readonly load: number;
  readonly server: string;
  readonly settings: string;
  readonly redis: string | null;
}

const QUICK = ' **This was a quick run**, of small counts: it says that all works, not how fast.';

/** What was measured, on what, and how: enough to do it again. */
export function describeProtocol({ quick, load, server, settings, redis }: Setting): string {
  return `\`npm run bench:live\`, ${today()}, commit ${commit()}. Shared machines are noisy: compare ratios before figures.${quick ? QUICK : ''}

- **Machine**: ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB; databases and processes on the same machine. Load
  before the first measurement: ${load.toFixed(1)}.
- **Database**: ${server}: ${settings}.
- **Redis**: ${redis ?? 'none here, so what needs it is missing'}${redis ? ', appendonly off, no snapshots' : ''}.
- **Peers**: BullMQ ${versionOfPeer('bullmq')}, @pgflow/client ${versionOfPeer('@pgflow/client')}. All processes run Node ${versionOfNode()}; we as built in dist.
- **Latency**: two processes, both by their \`process.hrtime.bigint()\`, which is one clock for the machine. One job at a time,
  15 to 30 ms after the last word of the one before. *Committed → applied*: from when the worker process has the answer to
  the statement that settles the job (for BullMQ: its worker says \`completed\`) until a subscriber of the live run (for
  BullMQ: of \`QueueEvents\`) is called in the other process. *Enqueued → completed*: from the call in the worker process;
  we send the run's id to the other process over a pipe when \`enqueue\` has answered, and it tracks the run, a snapshot query
  included. \`QueueEvents\` is subscribed to all jobs before and needs no id.
- **Client**: one process for both, in turns, medians of the repetitions, transport taken out. Runs of ten steps, one after the other, each with a small
  input and small outputs. *Applied*: changes prepared as objects before, and the whole run folded: 21 changes of ours
  with two step states each where a step releases the next, by \`applyChange\`; a snapshot and 21 events of its, by
  \`applySnapshot\` and \`updateState\`. *Heard*: messages as JSON texts, to the watcher: ours by the tracker, each checked
  field by field; its by \`PgflowClient\`, its Supabase replaced by one that answers from memory. *Heap*: after garbage collection,
  runs that are tracked and have one watcher that hears of everything (its: a listener on the run and on each step),
  everything included but the transport.
- **Watchers**: over PostgreSQL. \`track\` is called at once for all of them, then each subscribes. Another process, which has a
  worker, executes the first of ten steps of the run, or of all the runs. The heap is that of the watching process, the
  watchers' own callbacks included.`;
}
