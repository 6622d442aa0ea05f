import { Box, Ellipsis, FileText, Pause, Play, RotateCw, Square, Trash2, Zap } from 'lucide-react';
import type { ReactNode } from 'react';
import { useNavigate } from 'react-router';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import { actionLabel, type ContainerActions, disabledReason } from '@/api/useContainerActions.ts';
import { paths } from '@/lib/paths.ts';
import { Menu, type MenuItem } from '@/ui/Menu.tsx';

import { t } from './messages.ts';

/** All actions of one row. */
export function ContainerMenu({
  container,
  actions,
}: {
  container: ContainerSummary;
  actions: ContainerActions;
}): ReactNode {
  const navigate = useNavigate();
  const { engine, id, name, state } = container;
  const item = (action: 'start' | 'stop' | 'restart' | 'pause' | 'unpause', icon: ReactNode): MenuItem => ({
    label: actionLabel[action],
    icon,
    disabledReason: disabledReason(action, container),
    onSelect: () => actions.run(action, container),
  });
  return (
    <Menu
      label={t('actionsOf', { name })}
      square
      items={[
        item('start', <Play size={14} aria-hidden />),
        item('stop', <Square size={14} aria-hidden />),
        item('restart', <RotateCw size={14} aria-hidden />),
        item(state === 'paused' ? 'unpause' : 'pause', <Pause size={14} aria-hidden />),
        'separator',
        {
          label: t('logs'),
          icon: <FileText size={14} aria-hidden />,
          onSelect: () => void navigate(paths.container(engine, id, 'logs')),
        },
        {
          label: t('inside'),
          icon: <Box size={14} aria-hidden />,
          onSelect: () => void navigate(paths.container(engine, id, 'inside')),
        },
        'separator',
        {
          label: t('killShort'),
          icon: <Zap size={14} aria-hidden />,
          disabledReason: disabledReason('kill', container),
          onSelect: () => actions.run('kill', container),
        },
        {
          label: t('removeShort'),
          icon: <Trash2 size={14} aria-hidden />,
          danger: true,
          onSelect: () => actions.run('remove', container),
        },
      ]}
    >
      <Ellipsis size={16} aria-hidden />
    </Menu>
  );
}
