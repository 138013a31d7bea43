import { act, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { vi } from 'vitest';

/**
 * Mounts components that draw nothing, which is all that hooks need: React asks a page without
 * elements for no more than this. Call `vi.unstubAllGlobals()` afterwards.
 */
export async function mount(node: ReactNode) {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('HTMLIFrameElement', class {});
  vi.stubGlobal('window', globalThis);
  const document = Object.assign(new EventTarget(), {
    nodeType: 9,
    defaultView: globalThis,
    activeElement: null,
  });
  const container = Object.assign(new EventTarget(), {
    nodeType: 1,
    nodeName: 'DIV',
    tagName: 'DIV',
    namespaceURI: 'http://www.w3.org/1999/xhtml',
    ownerDocument: document,
  });
  const root = createRoot(container as never);
  await act(async () => root.render(node));
  return {
    render: (next: ReactNode) => act(async () => root.render(next)),
    unmount: () => act(async () => root.unmount()),
  };
}
