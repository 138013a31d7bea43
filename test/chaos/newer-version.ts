/** What a server of a later version might say, of which this one knows nothing. */

/** Instead of a message: with more in it, of an unknown type, status or kind, or in no shape that can be read. */
export function asNewer(message: unknown, random: () => number): unknown {
  const known = (message ?? {}) as Record<string, any>;
  const { runId, seq, run, tasks = [] } = known;
  const paused = {
    type: 'task_paused',
    stepSlug: 's0',
    taskIndex: 0,
    attempt: 1,
    at: new Date().toISOString(),
  };
  const versions = [
    { ...known, v: 2, region: 'elsewhere', ...(run && { run: { ...run, priority: 3 } }) },
    { ...known, tasks: [...tasks, paused] },
    { ...known, run: { ...run, status: 'paused' } },
    { v: 2, kind: 'patch', runId, seq, patches: [{ path: '/status', to: 'paused' }] },
    { v: 2, kind: 'patch', runs: [[runId, seq]] },
    ['patch', runId, seq],
  ];
  return versions[Math.floor(random() * versions.length)];
}

/** Instead of a frame of an event stream: one of an unknown kind before it, its kind renamed, or an unknown status in it. */
function asNewerFrame(frame: string, random: () => number): string {
  const what = random();
  if (what < 0.3) return `event: greeting\ndata: {"v":2}\n\n${frame}`;
  if (what < 0.6) return frame.replace(/^event: (change|snapshot)$/m, 'event: $1-2');
  return frame.replaceAll(/"status":"\w+"/g, '"status":"paused"');
}

/** A handler whose event streams come from a later version, frame by frame as `happens` says. */
export function newerStreams(
  handler: (request: Request) => Promise<Response>,
  random: () => number,
  happens: () => boolean,
): typeof handler {
  return async (request) => {
    const response = await handler(request);
    const type = response.headers.get('content-type') ?? '';
    if (response.body === null || !type.startsWith('text/event-stream')) return response;
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    // It holds nothing, as the stream before it: each frame is made when it is asked for.
    const stream = new TransformStream<Uint8Array, Uint8Array>(
      {
        transform(bytes, controller) {
          const text = decoder.decode(bytes);
          const isFrame = text.startsWith('id: ') && text.endsWith('\n\n');
          const isNewer = isFrame && happens();
          controller.enqueue(isNewer ? encoder.encode(asNewerFrame(text, random)) : bytes);
        },
      },
      { highWaterMark: 1 },
      { highWaterMark: 0 },
    );
    return new Response(response.body.pipeThrough(stream), response);
  };
}
