/* The 2-3-1 sigmoid network by full-batch gradient descent: one pass over the rows an epoch.
   theta: w1[2][3], b1[3], w2[3], b2. The bias rate is 0 for a network without biases. */
#include <math.h>

void train(const double *x, const double *y, long rows, double *theta, double rate,
           double bias_rate, long epochs, double *losses)
{
    for (long epoch = 0; epoch < epochs; epoch++) {
        const double u0 = theta[0], u1 = theta[1], u2 = theta[2];
        const double v0 = theta[3], v1 = theta[4], v2 = theta[5];
        const double b0 = theta[6], b1 = theta[7], b2 = theta[8];
        const double w0 = theta[9], w1 = theta[10], w2 = theta[11], c = theta[12];
        double gu0 = 0, gu1 = 0, gu2 = 0, gv0 = 0, gv1 = 0, gv2 = 0, gb0 = 0, gb1 = 0, gb2 = 0;
        double gw0 = 0, gw1 = 0, gw2 = 0, gc = 0, sum = 0;
        for (long i = 0; i < rows; i++) {
            const double p = x[2 * i], q = x[2 * i + 1];
            const double h0 = 1 / (1 + exp(-(p * u0 + q * v0 + b0)));
            const double h1 = 1 / (1 + exp(-(p * u1 + q * v1 + b1)));
            const double h2 = 1 / (1 + exp(-(p * u2 + q * v2 + b2)));
            const double a = 1 / (1 + exp(-(h0 * w0 + h1 * w1 + h2 * w2 + c)));
            const double error = a - y[i];
            const double delta = error * a * (1 - a);
            const double d0 = delta * w0 * h0 * (1 - h0);
            const double d1 = delta * w1 * h1 * (1 - h1);
            const double d2 = delta * w2 * h2 * (1 - h2);
            sum += error * error;
            gw0 += delta * h0, gw1 += delta * h1, gw2 += delta * h2, gc += delta;
            gu0 += d0 * p, gu1 += d1 * p, gu2 += d2 * p;
            gv0 += d0 * q, gv1 += d1 * q, gv2 += d2 * q;
            gb0 += d0, gb1 += d1, gb2 += d2;
        }
        const double s = 2 * rate / rows, t = 2 * bias_rate / rows;
        losses[epoch] = sum / rows;
        theta[0] -= s * gu0, theta[1] -= s * gu1, theta[2] -= s * gu2;
        theta[3] -= s * gv0, theta[4] -= s * gv1, theta[5] -= s * gv2;
        theta[6] -= t * gb0, theta[7] -= t * gb1, theta[8] -= t * gb2;
        theta[9] -= s * gw0, theta[10] -= s * gw1, theta[11] -= s * gw2, theta[12] -= t * gc;
    }
}
