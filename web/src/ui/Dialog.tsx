import { clsx } from 'clsx';
import { X } from 'lucide-react';
import { type ReactNode, useEffect, useId, useRef } from 'react';

import { IconButton } from './IconButton.tsx';
import { t } from './messages.ts';

type DialogProps = {
  title: string;
  onClose: () => void;
  children: ReactNode;
  footer?: ReactNode;
  /** `drawer` slides in from the right and keeps the page in view. */
  kind?: 'dialog' | 'drawer';
  wide?: boolean;
};

/** A modal over the native <dialog>: focus is kept inside and returned, Escape closes. Mounted means open. */
export function Dialog({ title, onClose, children, footer, kind = 'dialog', wide = false }: DialogProps): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const node = dialog.current;
    if (node && !node.open) {
      node.showModal();
      // The native choice is the first focusable, which would be the close button or a destructive one.
      const first = node.querySelector<HTMLElement>('[data-autofocus]') ?? node.querySelector('h2');
      first?.focus();
    }
    return () => node?.close();
  }, []);
  return (
    // Escape is the keyboard's way to do what a click on the backdrop does.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={dialog}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
      className={clsx(
        'border border-line bg-surface p-0 text-fg shadow-raised',
        kind === 'drawer'
          ? 'm-0 ml-auto h-dvh max-h-dvh w-full max-w-110 border-y-0 border-r-0'
          : 'm-auto max-h-dvh w-full rounded-card max-sm:h-dvh max-sm:max-w-full max-sm:rounded-none sm:max-h-[85dvh]',
        kind === 'dialog' && (wide ? 'sm:max-w-200' : 'sm:max-w-130'),
      )}
    >
      <div className="flex max-h-[inherit] flex-col max-sm:h-full">
        <header className="flex items-center gap-3 border-b border-line px-4 py-2">
          <h2 id={heading} tabIndex={-1} className="min-w-0 flex-1 text-lg font-semibold break-words outline-none">
            {title}
          </h2>
          <IconButton label={t('close')} icon={<X size={16} />} onClick={onClose} />
        </header>
        <div
          // A drawer may be a long list without anything to focus: the keyboard must be able to scroll it.
          {...(kind === 'drawer' ? { tabIndex: 0, role: 'region', 'aria-label': title } : {})}
          className="min-h-0 flex-1 overflow-auto p-4 -outline-offset-2"
        >
          {children}
        </div>
        {footer && (
          <footer className="flex flex-wrap justify-end gap-2 border-t border-line px-4 py-3">{footer}</footer>
        )}
      </div>
    </dialog>
  );
}
