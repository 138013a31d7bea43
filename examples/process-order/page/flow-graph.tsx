import type { Run } from 'pgflow-live';
import type { CSSProperties } from 'react';
import type { StepOutline } from '../server.js';
import { columnsOf, type Edge, edgesOf } from './flow-layout.js';
import { lookOf, StatusIcon } from './status.js';

/** The flow as a picture, from left to right. The list of steps says the same in words. */
export function FlowGraph({ run, steps }: { run: Run; steps: readonly StepOutline[] }) {
  const columns = columnsOf(steps);
  const rows = Math.max(0, ...columns.map((column) => column.length));
  if (rows === 0) return null;
  return (
    <div className="graph" aria-hidden="true" style={{ '--rows': rows } as CSSProperties}>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        {edgesOf(columns).map((edge) => (
          <path key={`${edge.parent} ${edge.slug}`} className={lookOfEdge(run, edge)} d={curve(edge)} />
        ))}
      </svg>
      {columns.map((column) => (
        <div key={column[0]!.slug} className="graph-column">
          {column.map(({ slug }) => (
            <GraphNode key={slug} run={run} slug={slug} />
          ))}
        </div>
      ))}
    </div>
  );
}

function GraphNode({ run, slug }: { run: Run; slug: string }) {
  const step = run.step(slug);
  if (!step) return null;
  const look = lookOf(step);
  return (
    <div className="graph-cell">
      <span className={`node ${look}`}>
        <StatusIcon look={look} />
        {slug}
      </span>
    </div>
  );
}

function lookOfEdge(run: Run, { parent }: Edge): string {
  return run.step(parent)?.status === 'completed' ? 'edge passed' : 'edge';
}

function curve({ from, to }: Edge): string {
  const middle = (from.x + to.x) / 2;
  return `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
}
