package org.edgeafri.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** The listener that Android keeps runs what it was given, and can be told from another one. */
final class BackGestureTest {
    private int times;

    private final Runnable back = new Runnable() {
        @Override
        public void run() {
            times++;
        }
    };

    @Test
    void goingBackRunsWhatWasGiven() {
        assertEquals(null, BackGesture.answer(this, "onBackInvoked", null, back));
        assertEquals(1, times);
    }

    @Test
    void aListenerEqualsItselfOnly() {
        assertEquals(true, BackGesture.answer(this, "equals", new Object[] {this}, back));
        assertEquals(false, BackGesture.answer(this, "equals", new Object[] {"other"}, back));
        assertEquals(System.identityHashCode(this), BackGesture.answer(this, "hashCode", null, back));
        assertEquals("BackGesture", BackGesture.answer(this, "toString", null, back));
        assertEquals(0, times);
    }
}
