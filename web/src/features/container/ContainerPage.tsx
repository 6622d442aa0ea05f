import { Terminal } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { Link, NavLink, Outlet, useNavigate, useParams } from 'react-router';

import { isNotFound, problemFrom } from '@/api/errors.ts';
import { useContainer } from '@/api/useContainer.ts';
import { shortId } from '@/lib/format.ts';
import { useShortcuts } from '@/lib/keys.ts';
import { type ContainerTab, paths } from '@/lib/paths.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button, buttonClass } from '@/ui/Button.tsx';
import { Copy } from '@/ui/Copy.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { EngineMark, engineName } from '@/ui/EngineMark.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';
import { StateBadge } from '@/ui/StateBadge.tsx';
import { TabBar, tabClass } from '@/ui/Tabs.tsx';
import { Ago, Since } from '@/ui/Time.tsx';

import { CommandsDialog } from './CommandsDialog.tsx';
import { HeadActions } from './HeadActions.tsx';
import { t } from './messages.ts';

const TABS: readonly ContainerTab[] = ['overview', 'logs', 'stats', 'inside', 'inspect'];

/** The head of one container and the tabs below it; each tab is its own address. */
export function ContainerPage(): ReactNode {
  const { engine = '', id = '' } = useParams();
  const { summary, error, gone, reload } = useContainer(engine, id);
  const [commands, setCommands] = useState(false);
  const navigate = useNavigate();
  useShortcuts(
    Object.fromEntries(
      TABS.map((tab, index) => [String(index + 1), () => void navigate(paths.container(engine, id, tab))]),
    ),
  );

  const toList = (
    <Link to={paths.containers()} className={buttonClass('primary')}>
      {t('toList')}
    </Link>
  );
  if (!summary) {
    return (
      <>
        <PageHeader title={shortId(id)} note={<EngineMark engine={engine} />} />
        {error ? (
          isNotFound(error) ? (
            <EmptyState title={t('gone')} action={toList}>
              {t('goneBody', { engine: engineName(engine) })}
            </EmptyState>
          ) : (
            <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={reload} />
          )
        ) : (
          <Skeleton rows={6} />
        )}
      </>
    );
  }
  const runs = summary.state === 'running' || summary.state === 'paused';
  return (
    <>
      <PageHeader
        title={summary.name}
        note={
          <>
            <StateBadge
              state={summary.state}
              health={summary.health}
              exitCode={summary.exit_code}
              oomKilled={summary.oom_killed}
            />
            <EngineMark engine={engine} />
            <span className="mono max-w-80 truncate" title={summary.image}>
              {summary.image}
            </span>
            <span>
              {runs ? t('up') : summary.finished_at ? t('ended') : t('created')}{' '}
              {runs ? <Since at={summary.started_at} /> : <Ago at={summary.finished_at ?? summary.created_at} />}
              {summary.pid ? ` · ${t('pid', { pid: String(summary.pid) })}` : ''}
            </span>
            <span className="flex items-center">
              <span className="mono text-subtle">{shortId(summary.id)}</span>
              <Copy text={summary.id} what={t('id')} />
            </span>
          </>
        }
        actions={
          <>
            <Button
              icon={<Terminal size={14} aria-hidden />}
              className="max-sm:hidden"
              onClick={() => setCommands(true)}
            >
              {t('commands')}
            </Button>
            <HeadActions container={summary} gone={gone} onCommands={() => setCommands(true)} />
          </>
        }
      />
      {gone && (
        <div className="mb-3">
          <Banner kind="warn" title={t('gone')} live action={toList} />
        </div>
      )}
      <TabBar label={t('tabs', { name: summary.name })}>
        {TABS.map((tab) => (
          <NavLink
            key={tab}
            to={paths.container(engine, id, tab)}
            end={tab === 'overview'}
            className={({ isActive }) => tabClass(isActive)}
          >
            {t(tab)}
          </NavLink>
        ))}
      </TabBar>
      <div className="flex flex-1 flex-col pt-4">
        <Outlet />
      </div>
      {commands && <CommandsDialog container={summary} onClose={() => setCommands(false)} />}
    </>
  );
}
