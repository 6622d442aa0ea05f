import { Ellipsis, Pause, Pencil, Play, RotateCw, Square, Terminal, Trash2, Zap } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useNavigate } from 'react-router';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import { actionLabel, disabledReason, useContainerActions } from '@/api/useContainerActions.ts';
import { paths } from '@/lib/paths.ts';
import { Button } from '@/ui/Button.tsx';
import { Menu } from '@/ui/Menu.tsx';
import { PHONE, useMedia } from '@/ui/scroll.ts';

import { t } from './messages.ts';
import { RenameDialog } from './RenameDialog.tsx';

/** What can be done to the container, the likeliest first. */
export function HeadActions({
  container,
  gone,
  onCommands,
}: {
  container: ContainerSummary;
  gone: boolean;
  /** Shows the commands; on a phone the button for it is in the menu. */
  onCommands: () => void;
}): ReactNode {
  const phone = useMedia(PHONE);
  const { run, pending } = useContainerActions();
  const [renaming, setRenaming] = useState(false);
  const navigate = useNavigate();
  const lost = gone ? t('gone') : undefined;
  const main = disabledReason('stop', container) ? 'start' : 'stop';
  const pause = container.state === 'paused' ? 'unpause' : 'pause';
  return (
    <>
      <Button
        icon={<RotateCw size={14} aria-hidden />}
        pending={pending}
        disabledReason={lost}
        onClick={() => run('restart', container)}
      >
        {actionLabel.restart}
      </Button>
      <Button
        icon={main === 'start' ? <Play size={14} aria-hidden /> : <Square size={14} aria-hidden />}
        variant={main === 'start' ? 'primary' : 'secondary'}
        pending={pending}
        disabledReason={lost}
        onClick={() => run(main, container)}
      >
        {actionLabel[main]}
      </Button>
      <Menu
        label={t('more')}
        variant="secondary"
        square
        items={[
          ...(phone ? [{ label: t('commands'), icon: <Terminal size={14} aria-hidden />, onSelect: onCommands }] : []),
          {
            label: actionLabel[pause],
            icon: <Pause size={14} aria-hidden />,
            disabledReason: lost ?? disabledReason(pause, container),
            onSelect: () => run(pause, container),
          },
          {
            label: t('rename'),
            icon: <Pencil size={14} aria-hidden />,
            disabledReason: lost,
            onSelect: () => setRenaming(true),
          },
          'separator',
          {
            label: t('kill'),
            icon: <Zap size={14} aria-hidden />,
            disabledReason: lost ?? disabledReason('kill', container),
            onSelect: () => run('kill', container),
          },
          {
            label: t('remove'),
            icon: <Trash2 size={14} aria-hidden />,
            danger: true,
            disabledReason: lost,
            onSelect: () => run('remove', container, () => void navigate(paths.containers())),
          },
        ]}
      >
        <Ellipsis size={16} aria-hidden />
      </Menu>
      {renaming && <RenameDialog container={container} onClose={() => setRenaming(false)} />}
    </>
  );
}
