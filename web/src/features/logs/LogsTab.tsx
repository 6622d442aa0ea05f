import { ChevronDown, ChevronUp, Download } from 'lucide-react';
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useParams } from 'react-router';

import { useContainer } from '@/api/useContainer.ts';
import { useShortcuts } from '@/lib/keys.ts';
import { Button, buttonClass } from '@/ui/Button.tsx';
import { Chip } from '@/ui/Chip.tsx';
import { IconButton } from '@/ui/IconButton.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';
import { SearchField } from '@/ui/SearchField.tsx';

import { LogStream } from './log-stream.ts';
import { LogView, type LogViewHandle } from './LogView.tsx';
import { t } from './messages.ts';
import { type StreamChoice, useLogSearch } from './useLogSearch.ts';
import { useStored } from './useStored.ts';

/** The log of one container, live. A new container means a new stream. */
export function LogsTab(): ReactNode {
  const { engine = '', id = '' } = useParams();
  return <Logs key={`${engine}/${id}`} engine={engine} id={id} />;
}

function Logs({ engine, id }: { engine: string; id: string }): ReactNode {
  const [stream] = useState(() => new LogStream(engine, id));
  const state = useSyncExternalStore(stream.subscribe, stream.get);
  const { summary } = useContainer(engine, id);
  const [text, setText] = useState('');
  const [onlyHits, setOnlyHits] = useState(false);
  const [from, setFrom] = useState<StreamChoice>('both');
  const [timestamps, setTimestamps] = useStored('containeros.logs.timestamps', false);
  const [wrap, setWrap] = useStored('containeros.logs.wrap', true);
  const [follow, setFollow] = useState(true);
  const view = useRef<LogViewHandle>(null);
  const search = text.trim();
  const { shown, hits, at, step } = useLogSearch(state.entries, search, onlyHits, from);

  useEffect(() => {
    stream.open();
    return () => stream.dispose();
  }, [stream]);
  // A log that ended goes on when the container runs again.
  const runs = summary?.state === 'running';
  const { ended } = state;
  useEffect(() => {
    if (ended && runs) stream.reopen();
  }, [ended, runs, stream]);

  const go = (by: 1 | -1): void => {
    const index = step(by);
    if (index === null) return;
    setFollow(false);
    view.current?.scrollTo(index);
  };
  useShortcuts({
    f: () => setFollow((before) => !before),
    w: () => setWrap(!wrap),
    n: () => go(1),
    N: () => go(-1),
  });

  const download = `/api/v1/engines/${encodeURIComponent(engine)}/containers/${encodeURIComponent(id)}/logs/download?timestamps=${String(timestamps)}`;
  const filtered = from !== 'both' || (onlyHits && search !== '');
  return (
    <div className="flex min-h-96 flex-1 basis-0 flex-col gap-2">
      <div className="flex flex-wrap items-center gap-2">
        <SearchField
          label={t('search')}
          placeholder={t('searchHint')}
          value={text}
          onChange={setText}
          className="w-64 max-sm:w-full"
        />
        {search && (
          <>
            <span role="status" className="min-w-16 text-center text-muted">
              {hits.length === 0 ? t('noHits') : t('hits', { at: at + 1, count: hits.length })}
            </span>
            <IconButton label={t('previous')} icon={<ChevronUp size={16} />} onClick={() => go(-1)} />
            <IconButton label={t('next')} icon={<ChevronDown size={16} />} onClick={() => go(1)} />
            <Chip pressed={onlyHits} onPress={() => setOnlyHits(!onlyHits)}>
              {t('onlyHits')}
            </Chip>
          </>
        )}
        <RadioGroup
          label={t('stream')}
          value={from}
          onChange={setFrom}
          options={[
            { value: 'both', label: t('both') },
            { value: 'stdout', label: t('stdout') },
            { value: 'stderr', label: t('stderr') },
          ]}
        />
        <div role="group" aria-label={t('options')} className="flex gap-2">
          <Chip pressed={timestamps} onPress={() => setTimestamps(!timestamps)}>
            {t('timestamps')}
          </Chip>
          <Chip pressed={wrap} onPress={() => setWrap(!wrap)}>
            {t('wrap')}
          </Chip>
          <Chip pressed={follow} onPress={() => setFollow(!follow)}>
            {t('follow')}
          </Chip>
        </div>
        <span className="ml-auto text-xs text-subtle">{t('lines', { count: shown.length })}</span>
        <a href={download} download className={buttonClass()}>
          <Download size={14} aria-hidden />
          {t('download')}
        </a>
      </div>
      {state.problem && <ProblemBox title={t('cannotLoad')} problem={state.problem} onRetry={() => stream.reopen()} />}
      <LogView
        ref={view}
        entries={shown}
        prepended={filtered ? 0 : state.prepended}
        dropped={filtered ? 0 : state.dropped}
        search={search}
        currentSeq={at >= 0 ? (shown[hits[at] ?? -1]?.seq ?? null) : null}
        timestamps={timestamps}
        wrap={wrap}
        follow={follow}
        onFollow={setFollow}
        head={
          <Head
            complete={state.complete}
            full={state.full}
            loading={state.loadingOlder}
            any={state.entries.length > 0}
            count={state.entries.length}
            onOlder={() => {
              setFollow(false);
              void stream.loadOlder();
            }}
          />
        }
        empty={state.entries.length > 0 ? t('hidden') : state.ready ? t('waiting') : ''}
      />
    </div>
  );
}

type HeadProps = {
  complete: boolean;
  full: boolean;
  loading: boolean;
  any: boolean;
  count: number;
  onOlder: () => void;
};

/** What is before the first line. */
function Head({ complete, full, loading, any, count, onOlder }: HeadProps): ReactNode {
  if (!any) return null;
  if (full) return <p className="p-2 text-subtle">{t('full', { count })}</p>;
  if (complete) return <p className="p-2 text-subtle">{t('begin')}</p>;
  return (
    <div className="p-2">
      <Button pending={loading} onClick={onOlder}>
        {t('older')}
      </Button>
    </div>
  );
}
