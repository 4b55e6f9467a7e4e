// Statuses in words for people, and where they stand on the way.

export const STATUS = {
  PENDING: ['wait', 'Not handed over yet', 0],
  PICKED_UP: ['wait', 'Picked up', 1],
  IN_TRANSIT: ['wait', 'On the way', 2],
  OUT_FOR_DELIVERY: ['wait', 'Out for delivery', 3],
  READY_FOR_PICKUP: ['wait', 'Ready for pickup', 3],
  DELIVERED: ['good', 'Delivered', 4],
  PARTIALLY_DELIVERED: ['warn', 'Partially delivered', 3],
  ON_HOLD: ['warn', 'On hold', 2],
  DELIVERY_DELAYED: ['warn', 'Delayed', 2],
  DELIVERY_FAILED: ['bad', 'Delivery failed', 3],
  RETURN_TO_SENDER: ['bad', 'On the way back', 2],
  UNKNOWN: ['none', 'Status unknown', 0],
};

export const MILESTONES = ['Picked up', 'On the way', 'Out for delivery', 'Delivered'];

export const ADVICE = {
  PARTIALLY_DELIVERED: 'A part has arrived; the rest is still on its way.',
  ON_HOLD: 'Somebody has to act before it goes on.',
  DELIVERY_DELAYED: 'It will arrive later than promised.',
  DELIVERY_FAILED: 'It could not be handed over; the carrier tries again or keeps it.',
  RETURN_TO_SENDER: 'It is being sent back.',
};

const day = new Intl.DateTimeFormat('en', { weekday: 'short', month: 'short', day: 'numeric' });
const moment = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

// A date without a time is that date everywhere.
export const onDay = (text) => (text ? day.format(new Date(text.length === 10 ? `${text}T12:00` : text)) : null);
export const at = (text) => moment.format(new Date(text));
export const timeOf = (milliseconds) => clock.format(new Date(milliseconds));
