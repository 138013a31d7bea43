import { useEffect, useRef } from 'react';
import { Link, usePath } from './navigation.js';
import { useOrderStarts } from './order-starts.js';
import { OrdersPage } from './orders-page.js';
import { RunPage } from './run-page.js';

export function App() {
  const path = usePath();
  const orderStarts = useOrderStarts();
  useFocusOnNewPage(path);
  const [, runId] = path.match(/^\/runs\/([^/]+)$/) ?? [];
  return (
    <>
      <header className="bar">
        <Link href="/" className="brand">
          <Mark /> PgFlow Live
        </Link>
        <span className="bar-note">Example: Process order</span>
      </header>
      <main>
        {runId ? (
          <RunPage key={runId} runId={runId} orderStarts={orderStarts} />
        ) : (
          <OrdersPage orderStarts={orderStarts} />
        )}
      </main>
    </>
  );
}

/** After a change of page the keyboard and the screen reader are at its heading, as after loading one. */
function useFocusOnNewPage(path: string): void {
  const shown = useRef(path);
  useEffect(() => {
    if (shown.current === path) return;
    shown.current = path;
    document.querySelector('h1')?.focus({ preventScroll: true });
  }, [path]);
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
      <rect className="mark-ground" width="32" height="32" rx="7" />
      <path className="mark-lines" d="M8 16h5m6-6h5m-5 12h5M13 16c3 0 3-6 6-6m-6 6c3 0 3 6 6 6" />
      <circle className="mark-dot" cx="8.5" cy="16" r="2.6" />
    </svg>
  );
}
