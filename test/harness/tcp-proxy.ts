import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';

/** A TCP proxy that breaks connections as networks do. */
export interface TcpProxy {
  readonly port: number;
  /** How many connections are open through it. */
  readonly connections: number;
  /** Ends all connections at once, with a reset; new ones are let through. */
  cut(): void;
  /**
   * Half-open TCP: no byte and no end of a connection gets through, while both sides keep
   * their sockets. New connections are accepted and hang likewise, or pass with `only: 'current'`.
   */
  freeze(options?: { only?: 'current' }): void;
  /** Ends the freeze; what was held back is delivered. */
  resume(): void;
  /**
   * Waits for the first client that sends `text`, passes it on, and ends that client's connection
   * when the server answers: the server has acted, the client never learns. Resolves then.
   */
  cutBeforeReplyTo(text: string): Promise<void>;
  /** The same before the server hears of it: it has not acted. */
  cutInsteadOf(text: string): Promise<void>;
  /** From now on connections are refused, until `accept()`. Open ones stay. */
  refuse(): void;
  accept(): void;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  frozen: boolean;
  /** Ends of either side that came while frozen: even a paused socket tells them. */
  held: (() => void)[];
  cutOnReply: (() => void) | null;
}

/**
 * Puts a proxy before a server on this machine.
 *
 * @example
 * const proxy = await startTcpProxy(server.port);
 * const pgflow = await createPgFlow({ database: server.url('app', proxy.port) });
 * proxy.cut();
 */
export async function startTcpProxy(targetPort: number, targetHost = '127.0.0.1'): Promise<TcpProxy> {
  const links = new Set<Link>();
  let freezeNew = false;
  let refusing = false;
  let awaited: { text: string; isPassedOn: boolean; cut: () => void } | null = null;

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    if (refusing) return void client.resetAndDestroy();
    const server = createConnection({ port: targetPort, host: targetHost, allowHalfOpen: true });
    const link: Link = { client, server, frozen: false, held: [], cutOnReply: null };
    links.add(link);
    carry(link);
    if (freezeNew) freezeLink(link);
  });

  function carry(link: Link): void {
    const { client, server } = link;
    client.on('data', (bytes) => {
      if (awaited && bytes.includes(awaited.text)) {
        const { isPassedOn, cut } = awaited;
        awaited = null;
        if (isPassedOn) link.cutOnReply = cut;
        else {
          cut();
          return end(link);
        }
      }
      pass(client, server, bytes);
    });
    server.on('data', (bytes) => {
      if (!link.cutOnReply) return pass(server, client, bytes);
      link.cutOnReply();
      end(link);
    });
    const unlessFrozen = (tell: () => void) => () => void (link.frozen ? link.held.push(tell) : tell());
    client.on(
      'end',
      unlessFrozen(() => server.end()),
    );
    server.on(
      'end',
      unlessFrozen(() => client.end()),
    );
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on(
        'error',
        unlessFrozen(() => end(link)),
      );
      socket.on(
        'close',
        unlessFrozen(() => end(link)),
      );
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) links.delete(link);
      });
    }

    function pass(from: Socket, to: Socket, bytes: Buffer): void {
      if (to.write(bytes) || link.frozen) return;
      from.pause();
      to.once('drain', () => link.frozen || from.resume());
    }
  }

  function freezeLink(link: Link): void {
    link.frozen = true;
    link.client.pause();
    link.server.pause();
  }

  function end(link: Link): void {
    link.client.resetAndDestroy();
    link.server.resetAndDestroy();
  }

  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  return {
    port: (listener.address() as { port: number }).port,
    get connections() {
      return links.size;
    },
    cut() {
      for (const link of links) end(link);
    },
    freeze({ only } = {}) {
      freezeNew = only !== 'current';
      for (const link of links) freezeLink(link);
    },
    resume() {
      freezeNew = false;
      for (const link of links) {
        link.frozen = false;
        link.client.resume();
        link.server.resume();
        for (const tell of link.held.splice(0)) tell();
      }
    },
    cutBeforeReplyTo: (text) =>
      new Promise((resolve) => {
        awaited = { text, isPassedOn: true, cut: resolve };
      }),
    cutInsteadOf: (text) =>
      new Promise((resolve) => {
        awaited = { text, isPassedOn: false, cut: resolve };
      }),
    refuse() {
      refusing = true;
    },
    accept() {
      refusing = false;
    },
    async close() {
      for (const link of links) end(link);
      listener.close();
      await once(listener, 'close');
    },
  };
}
