import { useQuery } from '@tanstack/react-query';
import { ChevronDown, ChevronRight } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { useParams } from 'react-router';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import { Chip } from '@/ui/Chip.tsx';
import { Copy } from '@/ui/Copy.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { SearchField } from '@/ui/SearchField.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { findPaths, flatten, type Json, leadsTo, type Node } from './json-tree.ts';
import { t } from './messages.ts';

/** The engine's own answer, as a tree to search or as text. */
export function InspectTab(): ReactNode {
  const { engine = '', id: container = '' } = useParams();
  const [text, setText] = useState('');
  const [raw, setRaw] = useState(false);
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const { data, error, refetch } = useQuery({
    queryKey: [engine, 'containers', container, 'inspect'],
    queryFn: () =>
      unwrap(
        api.GET('/api/v1/engines/{engine}/containers/{container}/inspect', { params: { path: { engine, container } } }),
      ),
  });
  const json: Json | undefined = data?.json;
  const hits = useMemo(() => (json === undefined ? [] : findPaths(json, text.trim())), [json, text]);
  const nodes = useMemo(() => {
    if (json === undefined) return [];
    return flatten(json, (path, depth) => toggled.get(path) ?? (text ? leadsTo(path, hits) : depth < 1));
  }, [json, toggled, text, hits]);
  const found = useMemo(() => new Set(hits), [hits]);

  if (error) return <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={() => void refetch()} />;
  if (json === undefined) return <Skeleton rows={10} rowClass="h-5" />;
  const whole = JSON.stringify(json, null, 2);
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <SearchField
          label={t('search')}
          value={text}
          className="w-75 max-sm:w-full"
          onChange={(value) => {
            setText(value);
            setToggled(new Map());
          }}
        />
        {text && <span role="status">{t('hits', { count: hits.length })}</span>}
        <Chip pressed={raw} onPress={() => setRaw(!raw)}>
          {t('raw')}
        </Chip>
        <Copy text={whole} what={t('copyAll')} />
        <span className="text-xs text-subtle">{t('secrets')}</span>
      </div>
      <div className="mono overflow-x-auto rounded-card border border-line bg-inset p-3">
        {raw ? (
          <pre>{whole}</pre>
        ) : (
          <ul aria-label={t('tree')}>
            {nodes.map((node) => (
              <Line
                key={node.path}
                node={node}
                hit={found.has(node.path)}
                open={toggled.get(node.path) ?? (text ? leadsTo(node.path, hits) : node.depth < 1)}
                onToggle={(open) => setToggled(new Map(toggled).set(node.path, open))}
              />
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

type LineProps = { node: Node; hit: boolean; open: boolean; onToggle: (open: boolean) => void };

function Line({ node, hit, open, onToggle }: LineProps): ReactNode {
  const { key, value, depth, children, path } = node;
  const branch = value !== null && typeof value === 'object';
  const name = <span className="text-muted">{key}</span>;
  return (
    <li
      className={`group flex min-h-6 items-start gap-1 rounded-control ${hit ? 'bg-warn/15' : ''}`}
      style={{ paddingLeft: `${String(depth * 16)}px` }}
    >
      {branch && children > 0 ? (
        <button
          type="button"
          aria-expanded={open}
          className="flex min-h-6 items-center gap-1 text-left hover:text-accent"
          onClick={() => onToggle(!open)}
        >
          {open ? <ChevronDown size={14} aria-hidden /> : <ChevronRight size={14} aria-hidden />}
          {name} <span className="text-subtle">{t('entries', { count: children })}</span>
        </button>
      ) : (
        <span className="flex min-h-6 min-w-0 items-center gap-2 pl-4.5">
          {name}
          <span className={`break-all ${colourOf(value)}`}>
            {branch ? (Array.isArray(value) ? '[]' : '{}') : JSON.stringify(value)}
          </span>
        </span>
      )}
      <span className="opacity-0 group-focus-within:opacity-100 group-hover:opacity-100">
        <Copy
          text={branch ? JSON.stringify(value, null, 2) : String(value)}
          what={t('copyPath', { path: path.replace(/^\./, '') })}
        />
      </span>
    </li>
  );
}

function colourOf(value: Json): string {
  if (typeof value === 'string') return 'text-ok';
  if (typeof value === 'number') return 'text-info';
  if (typeof value === 'boolean') return 'text-paused';
  return 'text-subtle';
}
