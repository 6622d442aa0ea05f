import { type ReactNode, useEffect, useId, useRef, useState } from 'react';

const DELAY_MS = 350;
const GAP = 6;

/**
 * Text on hover and focus, in the top layer so that nothing clips it. `labelled` says the text repeats the child's
 * name, so that screen readers do not hear it twice.
 */
export function Tooltip({
  text,
  labelled = false,
  children,
}: {
  text: string;
  labelled?: boolean;
  children: ReactNode;
}): ReactNode {
  const id = useId();
  const host = useRef<HTMLSpanElement>(null);
  const tip = useRef<HTMLSpanElement>(null);
  const timer = useRef(0);
  const [open, setOpen] = useState(false);

  useEffect(() => {
    const node = tip.current;
    const anchor = host.current?.firstElementChild;
    if (!node || !anchor || !open) return undefined;
    node.showPopover?.();
    const box = anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = node;
    const below = box.bottom + GAP + height <= window.innerHeight;
    node.style.top = `${below ? box.bottom + GAP : box.top - GAP - height}px`;
    node.style.left = `${Math.max(8, Math.min(box.left + box.width / 2 - width / 2, window.innerWidth - width - 8))}px`;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setOpen(false);
    };
    document.addEventListener('keydown', onKey);
    return () => {
      document.removeEventListener('keydown', onKey);
      node.hidePopover?.();
    };
  }, [open, text]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const later = (delay: number): void => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setOpen(true), delay);
  };
  const hide = (): void => {
    clearTimeout(timer.current);
    setOpen(false);
  };
  return (
    <span
      ref={host}
      className="contents"
      aria-describedby={labelled ? undefined : id}
      onPointerEnter={(event) => event.pointerType === 'mouse' && later(DELAY_MS)}
      onPointerLeave={hide}
      onPointerDown={hide}
      onFocus={(event) => event.target.matches(':focus-visible') && later(0)}
      onBlur={hide}
    >
      {children}
      <span
        ref={tip}
        id={id}
        role="tooltip"
        popover="manual"
        className="pointer-events-none fixed max-w-72 rounded-control border border-line bg-raised px-2 py-1 text-xs text-fg shadow-raised"
      >
        {text}
      </span>
    </span>
  );
}
