import { onTestFinished } from 'vitest';
import { createTracker } from '../../src/live/tracker.js';
import { openDatabase } from '../../src/postgres/open-database.js';
import { Store } from '../../src/postgres/store.js';
import { postgresPubSub } from '../../src/pubsub/postgres.js';
import { type PubSub, topicsOf } from '../../src/pubsub/pubsub.js';

const SCHEMA = 'pgflow';

/** The Postgres bus of one more process, which may listen by another way. Closing it closes its databases. */
export async function openPostgresBus(url: string, listeningUrl = url): Promise<PubSub> {
  const [database, listening] = [await openDatabase(url), await openDatabase(listeningUrl)];
  const store = new Store(database, SCHEMA);
  const bus = postgresPubSub().open({
    notify: (payloads) => store.notify(payloads),
    listen: (onPayload, onLost) => listening.listen(SCHEMA, onPayload, onLost),
  });
  return {
    publish: (topic, message) => bus.publish(topic, message),
    subscribe: (topic, fn) => bus.subscribe(topic, fn),
    onConnection: (fn) => bus.onConnection!(fn),
    async close() {
      await bus.close();
      await Promise.all([database.close(), listening.close()]);
    },
  };
}

/**
 * Watches runs as one more process would that hears of changes through this bus alone: its watchdog does not look
 * for an hour. `reads` has the ids of the runs that it read, in the order of reading.
 */
export async function trackThrough(bus: PubSub, url: string, runIds: readonly string[]) {
  const database = await openDatabase(url);
  const store = new Store(database, SCHEMA);
  const reads: string[] = [];
  const tracker = createTracker({
    source: {
      readChanges(cursors) {
        reads.push(...cursors.map(({ runId }) => runId));
        return store.trackChanges(cursors, 1);
      },
      readSeqs: (ids) => store.readSeqs(ids),
    },
    pubsub: bus,
    topics: topicsOf(SCHEMA),
    watchdogInterval: 3600,
  });
  onTestFinished(async () => {
    tracker.close();
    await bus.close();
    await database.close();
  });
  const runs = await Promise.all(runIds.map((runId) => tracker.track(runId)));
  return { runs, reads };
}
