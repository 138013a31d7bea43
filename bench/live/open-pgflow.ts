import { createPgFlow, type PgFlow } from 'pgflow-live';
import { redisPubSub } from 'pgflow-live/redis';
import type { LiveAssignment } from './assignment.js';
import { liveFlows } from './flows.js';

type Flows = ReturnType<typeof liveFlows>;

/** One of the processes: it works, or it only starts and watches. */
export async function openPgFlow(
  { url, redis }: LiveAssignment,
  role: 'worker' | 'watcher',
): Promise<Flows & { pgflow: PgFlow }> {
  const flows = liveFlows();
  const pgflow = await createPgFlow({
    database: url,
    flows: [flows.tenSteps],
    jobs: [flows.job, flows.gated],
    worker: role === 'worker' ? { concurrency: 100 } : false,
    ...(redis !== null && { pubsub: redisPubSub(redis) }),
  });
  return { ...flows, pgflow };
}
